// A user's connection string, with what we add to it.

#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <libpq-fe.h>

#include "base/clock.hpp"

namespace headgate::pq {

// libpq's keywords and values. Not thread-safe.
class ConnectParameters {
 public:
  // Throws Error{kOperator} for what libpq cannot parse; `role` names the connection in it.
  ConnectParameters(const std::string& conninfo, const std::string& role);

  void set(const std::string& key, const std::string& value);
  // Only where the user says nothing.
  void set_default(const std::string& key, const std::string& value);
  // A session setting, behind those that the user has in `options`.
  void append_option(const std::string& name, const std::string& value);

  // The user's own; libpq heeds it only where it waits itself, which it does not for us. Nothing
  // where it is not given, or given as 0 (for ever).
  std::optional<Duration> connect_timeout() const;

  // PQconnectStartParams; the caller owns the result.
  PGconn* start() const;

 private:
  std::string* find(const std::string& key);
  const std::string* find(const std::string& key) const;

  std::vector<std::pair<std::string, std::string>> pairs_;
};

}  // namespace headgate::pq
