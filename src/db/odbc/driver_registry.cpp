#include "db/odbc/driver_registry.hpp"

#include <array>

#include <odbcinst.h>

namespace headgate::odbc {
namespace {

std::string entry(const std::string& section, const std::string& key, const char* file) {
  std::array<char, 1024> value{};
  const int size = SQLGetPrivateProfileString(section.c_str(), key.c_str(), "", value.data(),
                                              static_cast<int>(value.size()), file);
  return size > 0 ? std::string(value.data()) : std::string();
}

}  // namespace

DriverKind kind_of_library(std::string_view library) {
  if (library.find("libtdsodbc") != std::string_view::npos) {
    return DriverKind::kFreeTds;
  }
  if (library.find("libmsodbcsql") != std::string_view::npos) {
    return DriverKind::kMicrosoft;
  }
  return DriverKind::kOther;
}

std::string SystemDriverRegistry::of_data_source(const std::string& name,
                                                 const std::string& key) const {
  return entry(name, key, "odbc.ini");
}

std::string SystemDriverRegistry::of_driver(const std::string& name, const std::string& key) const {
  return entry(name, key, "odbcinst.ini");
}

}  // namespace headgate::odbc
