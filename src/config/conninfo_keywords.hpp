// The keywords of libpq's connection strings.

#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace headgate::config {

// Up to PostgreSQL 18, those that hold a secret not among them.
const std::vector<std::string>& open_conninfo_keywords();

bool is_open_conninfo_keyword(std::string_view keyword);

// Whether its value is a secret.
bool is_secret_conninfo_keyword(std::string_view keyword);

}  // namespace headgate::config
