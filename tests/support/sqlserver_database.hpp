// A database with change data capture for one test: on the SQL Server to which the ODBC connection
// string in HEADGATE_TEST_SQLSERVER leads, or else on a double in this process.
//
// Everything but scripted() goes through the driver and in T-SQL, and knows nothing of what
// answers.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "support/sqlserver_double/sqlserver_double.hpp"

namespace headgate::odbc {
class Connection;
}

namespace headgate::test {

// A result as text: NULL as "NULL", binary as hexadecimal digits.
using SqlServerRows = std::vector<std::vector<std::string>>;

// One session. Waits half a minute for a lock. Throws odbc::OdbcError. Not thread-safe.
class SqlServerSession {
 public:
  explicit SqlServerSession(const std::string& connection_string);
  ~SqlServerSession();

  // Runs a batch to its end and drops its rows.
  void execute(const std::string& sql);
  SqlServerRows query(const std::string& sql);
  // The first value of the first row; empty when there is none.
  std::string value(const std::string& sql);

 private:
  std::unique_ptr<odbc::Connection> connection_;
};

// Makes a database of its own, under a name that nobody has, with change data capture on and
// snapshot isolation allowed; the destructor drops it. It takes a sysadmin, and on a real server a
// running Agent, since that is what captures. Not thread-safe; further threads take sessions of
// their own.
class SqlServerDatabase {
 public:
  // `options` are the double's, where there is one. It captures on its own, 5 ms after each commit.
  explicit SqlServerDatabase(SqlServerOptions options = {});
  ~SqlServerDatabase();
  SqlServerDatabase(const SqlServerDatabase&) = delete;
  SqlServerDatabase& operator=(const SqlServerDatabase&) = delete;

  // Leads into the database, as the sysadmin, with the password.
  const std::string& connection_string() const { return connection_string_; }
  const std::string& name() const { return name_; }

  void execute(const std::string& sql) { session_->execute(sql); }
  SqlServerRows query(const std::string& sql) { return session_->query(sql); }
  std::string value(const std::string& sql) { return session_->value(sql); }

  // CREATE TABLE dbo.NAME (COLUMNS), enabled under the instance's default name.
  void create_captured(const std::string& table, const std::string& columns);
  // Of a table of schema dbo that is there.
  void enable(const std::string& table);

  // Everything that was committed before the call is in the change tables afterwards, by a commit
  // of its own that is waited for: captured is what comes in the order of commits. Throws
  // WaitedTooLong. REQUIRES: the capture process runs.
  void wait_captured(Duration timeout = std::chrono::seconds(90));

  // The double, to be scripted; null when a server was named, which nobody can script.
  SqlServerDouble* scripted() { return double_.get(); }

 private:
  void drop() noexcept;

  std::unique_ptr<SqlServerDouble> double_;  // null: a server was named
  std::string server_string_;                // leads to no database in particular
  std::string name_;
  std::string connection_string_;
  std::unique_ptr<SqlServerSession> session_;
  int fences_ = 0;
};

// For tests that need the double: false, with a line that says so, where a server was named.
//
//   if (!needs_the_double("cuts connections")) { return; }
bool needs_the_double(const std::string& why);

}  // namespace headgate::test
