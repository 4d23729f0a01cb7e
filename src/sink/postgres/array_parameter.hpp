// One column of many rows as a binary array, to be unnested by a set-based statement.
//
// Layout: array_send/array_recv (src/backend/utils/adt/arrayfuncs.c): dimensions, has-null flag,
// element type, then per dimension length and lower bound, then per element its length and bytes.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "core/schema.hpp"
#include "core/value.hpp"

namespace headgate::sink::postgres {

// How the values of a column travel to the sink.
enum class Transport : std::uint8_t {
  kText,    // elements of text, converted by the sink's own input function
  kBinary,  // elements of the source's type, in its binary form
};

// The array type over a built-in type whose binary form the sink takes as it is; 0 when its values
// travel as text.
std::uint32_t array_type_of(std::uint32_t type_oid);

// How `value` travels. REQUIRES: it is not NULL (which goes either way).
Transport transport_of(const Column& column, const Value& value);

// Appends column `index` of each row of `rows` to `out` as one array. With kText, binary values are
// printed first.
void append_array(std::span<const Row> rows, std::size_t index, const Column& column,
                  Transport transport, std::string& out);

}  // namespace headgate::sink::postgres
