// PostgreSQL's binary values as the text that the server prints for them.

#pragma once

#include <cstdint>
#include <string>

#include "core/schema.hpp"
#include "core/value.hpp"

namespace headgate {

// True for the built-in types whose binary form value_text() can print: boolean, integers, floats,
// numeric, text types, bytea, json, uuid, date, time, timestamp, timestamptz. Only their values are
// asked for in binary; of all others the server sends text.
bool has_binary_text(std::uint32_t type_oid);

// The value as the source server would print it (settings as the source adapter sets them: ISO
// dates, UTC, hex bytea, shortest floats). REQUIRES: neither NULL nor unchanged.
//
// Throws Error{kOperator} for a binary value of another type, or of a length its type cannot have.
std::string value_text(const Column& column, const Value& value);

}  // namespace headgate
