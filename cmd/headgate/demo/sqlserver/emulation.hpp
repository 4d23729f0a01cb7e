// What stands in for a SQL Server in the demo: the tests' double, in this process. It is no SQL
// Server, and whoever shows what it does must say so.

#pragma once

#include <memory>
#include <string>

namespace headgate::test {
class SqlServerDouble;
}

namespace headgate::demo::sqlserver {

// Listens on a port of 127.0.0.1 until destroyed, with the shop's tables, empty, enabled for change
// data capture. Thread-safe after construction.
class Emulation {
 public:
  // Throws Error{kOperator} when FreeTDS's ODBC driver is not registered, std::system_error when
  // the system refuses a port.
  Emulation();
  ~Emulation();
  Emulation(const Emulation&) = delete;
  Emulation& operator=(const Emulation&) = delete;

  // For ODBC; of a sysadmin.
  std::string connection_string() const;
  int port() const;

  // Everything that is committed can be read from the change tables.
  bool all_captured() const;

  // Lets go of what is of no use any more, as the clean-up job does. From time to time.
  void clean_up();

 private:
  std::unique_ptr<test::SqlServerDouble> server_;
};

}  // namespace headgate::demo::sqlserver
