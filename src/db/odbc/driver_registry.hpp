// What odbc.ini and odbcinst.ini say: which driver a name stands for.

#pragma once

#include <string>
#include <string_view>

namespace headgate::odbc {

// The drivers that differ for us: in their connection strings, their diagnostics and what they do
// with them. Everything else is taken as the ODBC standard has it.
enum class DriverKind {
  kFreeTds,    // libtdsodbc, the default
  kMicrosoft,  // libmsodbcsql: "ODBC Driver 18 for SQL Server"
  kOther,
};

// Which it is, by the path or name of its library, which no registration can change.
DriverKind kind_of_library(std::string_view library);

// Looks entries up; tests have their own.
class DriverRegistry {
 public:
  virtual ~DriverRegistry() = default;

  // The value of `key` in the section of a data source or of a driver; empty when there is none.
  virtual std::string of_data_source(const std::string& name, const std::string& key) const = 0;
  virtual std::string of_driver(const std::string& name, const std::string& key) const = 0;
};

// unixODBC's files, where ODBCINI, ODBCSYSINI and its defaults say. Safe from any thread.
class SystemDriverRegistry final : public DriverRegistry {
 public:
  std::string of_data_source(const std::string& name, const std::string& key) const override;
  std::string of_driver(const std::string& name, const std::string& key) const override;
};

}  // namespace headgate::odbc
