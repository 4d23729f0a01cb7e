// What the source's catalog says of its tables.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/schema.hpp"
#include "db/pq/connection.hpp"
#include "source/postgres/options.hpp"

namespace headgate::source::postgres {

class SeenColumns;

// Where the catalog stands to what is described by it.
enum class CatalogTime {
  kSame,   // at the same place: a snapshot's, or known to be unaltered since
  kAhead,  // the stream may still have to come to where the catalog is
};

// One ordinary or partitioned table.
struct CatalogTable {
  std::uint32_t oid = 0;
  TableName name;
  bool partitioned = false;
  std::uint32_t partition_of = 0;  // OID of the table that it is a direct partition of; 0: of none
  bool has_columns = true;         // at least one that is sent
  bool logged = true;              // false: unlogged or temporary, never in the log
  char identity = 'd';             // pg_class.relreplident
  bool has_identity = false;       // updates and deletes of it can be published
  bool owned = false;              // this user may add it to a publication
  bool readable = false;           // this user may SELECT from it
  std::string owner;

  // Of a partitioned table, the name of the first partition that ...
  std::string unlogged_partition;  // ... is in no log: unlogged or foreign; empty: none
  std::string odd_partition;       // ... identifies its rows otherwise than the table; empty: none
  std::string unsent_partition;    // ... has an identity as of unsent_identity(); empty: none
};

// A column as the Relation message or the catalog names it, before its type is looked up.
struct ColumnDescription {
  std::string name;
  std::uint32_t type_oid = 0;
  std::int32_t type_modifier = -1;
  bool identity = false;
};

// Connection options for catalog queries and copies: text formats fixed, no search path, so that
// every name of a user comes out qualified.
pq::ConnectOptions session_options(const Options& options);

// A condition on a row of pg_class under the name `table`: its replica identity has a generated
// column that is not in the stream. From 18 on the server refuses updates and deletes of a table
// that is published so; before, such a column counted for nothing. `sent`: a condition on generated
// column `g`, a row of pg_attribute, under which the publication sends it.
std::string unsent_identity(int server_version, std::string_view table, std::string_view sent);

// All tables of the database but the system's, partitions among them. Generated columns are in the
// stream where `publication`, which need not be there, sends them; one that we make does not.
std::vector<CatalogTable> list_tables(pq::Connection& connection, const std::string& publication);

// The schema that a run of changes of table `oid` describes. Domains become their base types, since
// their values are the same. The key is the replica identity, or the primary key where the identity
// is the full row.
// `seen` helps to tell which column is which when the catalog is ahead of the stream.
TableSchema build_schema(pq::Connection& connection, std::uint32_t oid, const TableName& name,
                         char identity, const std::vector<ColumnDescription>& columns,
                         CatalogTime time, SeenColumns& seen);

// The columns of a table that pgoutput publishes, as they are now: those of `published` when the
// publication has a column list (else empty: all), without dropped and generated ones.
std::vector<ColumnDescription> published_columns(pq::Connection& connection,
                                                 const CatalogTable& table,
                                                 const std::vector<std::string>& published);

// True when every column's binary form can be printed again (core/value_text.hpp).
bool has_binary_text(const TableSchema& schema);

// An array literal, for a parameter.
std::string oid_array(const std::vector<std::uint32_t>& oids);

// `schema.table`, quoted.
std::string quoted(const TableName& name);

}  // namespace headgate::source::postgres
