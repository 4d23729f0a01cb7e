// Connection strings as logs and messages may show them.

#pragma once

#include <string>

namespace headgate::config {

// Secrets become ***, and so does whatever cannot be told from one, such as the rest of a string
// that libpq would not take. Takes both of libpq's forms; any other string is hidden whole.
std::string redact_conninfo(const std::string& conninfo);

}  // namespace headgate::config
