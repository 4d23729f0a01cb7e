// A user's connection string, checked and completed for the driver that it names.
//
// Drivers ignore what they do not know and take what is wrong for something else: FreeTDS reads
// `Encrypt=yes` as nothing at all, and without ClientCharset replaces every character beyond
// Latin-1 by a question mark. So nothing is passed on that would be ignored, and what decides about
// safety or about bytes always stands in the text.

#pragma once

#include <string>

#include "base/clock.hpp"
#include "db/odbc/connection_string.hpp"
#include "db/odbc/driver_registry.hpp"

namespace headgate::odbc {

struct ConnectOptions {
  // ODBC's, as the user gave it. Without Driver and DSN: FreeTDS.
  std::string connection_string;
  // Overrides PWD; empty: that one, or none.
  std::string password;
  // Stands for the connection in errors: "source", "sink report".
  std::string role;
  // Shown in sys.dm_exec_sessions, unless the connection string says otherwise (APP).
  std::string application_name = "headgate";
  // Asks an availability group's listener for a readable secondary (ApplicationIntent=ReadOnly),
  // unless the connection string says otherwise.
  bool read_only_intent = false;
  // Statements run once after the login: sql_server_settings(), say. They hold no values.
  std::vector<std::string> settings;
  // To log in, rounded up to seconds; at most a minute.
  Duration timeout = std::chrono::seconds(10);
  // For every statement that does not say otherwise, rounded up to seconds; zero: for ever. A
  // server that does not even answer the cancellation is given up after twice that.
  Duration statement_timeout{};
};

// The finished string. Not thread-safe.
class ConnectParameters {
 public:
  // Throws Error{kOperator} for a string that cannot be read, contradicts itself or holds what the
  // driver would ignore, and for a driver that is not installed. Its text names keywords that are
  // known to some driver, and never a value.
  ConnectParameters(const ConnectOptions& options, const DriverRegistry& registry);

  DriverKind driver() const { return driver_; }

  // For SQLDriverConnectW. Holds the password: for nothing else.
  const std::string& text() const { return text_; }

 private:
  // The user's, or what the data source of odbc.ini has; empty: neither.
  std::string effective(const std::string& keyword) const;
  // Only where neither says anything.
  void set_default(const std::string& keyword, const std::string& value);
  [[noreturn]] void refuse(const std::string& what, const std::string& hint) const;

  void find_driver();
  void check_login(bool has_password) const;
  void complete_freetds(const ConnectOptions& options);
  void check_freetds_server() const;
  void complete_microsoft(const ConnectOptions& options);
  void check_intent() const;

  const std::string role_;
  const DriverRegistry& registry_;
  ConnectionString string_;
  std::string data_source_;  // empty where a driver is named
  DriverKind driver_ = DriverKind::kOther;
  std::string text_;
};

}  // namespace headgate::odbc
