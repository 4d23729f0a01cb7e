#include "config/identifiers.hpp"

#include <algorithm>
#include <cstddef>

namespace headgate::config {
namespace {

constexpr std::size_t kPipelineBytesMax = 48;
constexpr std::size_t kPublicationBytesMax = 56;
constexpr std::size_t kIdentifierBytesMax = 63;  // NAMEDATALEN - 1

bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}

bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Whether `name` has 1 to `bytes_max` characters, all of which `allowed` takes.
template <typename Allowed>
bool consists_of(std::string_view name, std::size_t bytes_max, Allowed allowed) {
  return !name.empty() && name.size() <= bytes_max &&
         std::all_of(name.begin(), name.end(), allowed);
}

bool is_word_character(char c) {
  return is_lower(c) || is_digit(c) || c == '_';
}

}  // namespace

std::string pipeline_name_problem(std::string_view name) {
  const bool good =
      consists_of(name, kPipelineBytesMax, [](char c) { return is_word_character(c) || c == '-'; });
  return good ? ""
              : "is not a valid pipeline name "
                "(lower-case letters, digits, underscore and hyphen, at most 48)";
}

std::string slot_name_problem(std::string_view name) {
  return consists_of(name, kIdentifierBytesMax, is_word_character)
             ? ""
             : "is not a valid slot name (lower-case letters, digits and underscore, at most 63)";
}

std::string publication_name_problem(std::string_view name) {
  const bool good = consists_of(name, kPublicationBytesMax, [](char c) {
    return is_word_character(c) || is_upper(c) || c == '-';
  });
  return good
             ? ""
             : "is not a valid publication name "
               "(letters, digits, underscore and hyphen, at most 56: NAME_append must fit into 63)";
}

std::string sink_name_problem(std::string_view name) {
  return consists_of(name, kIdentifierBytesMax, is_word_character)
             ? ""
             : "is not a valid sink name (lower-case letters, digits and underscore, at most 63)";
}

std::string schema_name_problem(std::string_view name) {
  const bool printable = consists_of(name, kIdentifierBytesMax, [](char c) {
    return static_cast<unsigned char>(c) >= 0x20 && c != 0x7F;
  });
  if (!printable) {
    return "is not a valid schema name (at most 63 bytes, no control characters)";
  }
  if (name.starts_with("pg_") || name == "information_schema") {
    return "is a schema of the server's own";
  }
  return "";
}

}  // namespace headgate::config
