// The names that a configuration may give, and what is wrong with one.

#pragma once

#include <string>
#include <string_view>

namespace headgate::config {

// Each returns what is wrong with `name` as the end of a sentence that begins with the name ("is
// not a valid slot name"), or nothing for a good one.

// a-z, 0-9, _ and -, at most 48: slots, publications and rows of a sink are named after it.
std::string pipeline_name_problem(std::string_view name);

// What the server itself allows for a replication slot.
std::string slot_name_problem(std::string_view name);

// Letters, digits, _ and -, at most 56, so that `<publication>_append` fits into 63 too.
std::string publication_name_problem(std::string_view name);

std::string sink_name_problem(std::string_view name);

// A schema to write to: any name that PostgreSQL stores whole, less the server's own.
std::string schema_name_problem(std::string_view name);

}  // namespace headgate::config
