// Types and values on the wire, both ways.

#pragma once

#include <string>

#include "support/sqlserver_double/sql_value.hpp"
#include "support/sqlserver_double/tds_bytes.hpp"

namespace headgate::test::sqlserver {

// How values of max types are cut into chunks.
struct ChunkRules {
  std::size_t chunk_bytes = 4000;  // may cut a UTF-16 unit or a surrogate pair in two
  bool known_length = true;        // else the length is sent as unknown
};

// TYPE_INFO of a column or parameter, with the table name that text, ntext and image want.
void put_type(std::string& bytes, const SqlType& type, bool in_metadata);
void put_value(std::string& bytes, const SqlType& type, const Value& value,
               const ChunkRules& chunks);

// A parameter of an RPC. Throws MalformedRequest for a type that the double does not know.
TypedValue read_typed_value(ByteReader& reader);

}  // namespace headgate::test::sqlserver
