// What one connection has set and opened, as its statements see it.

#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "support/sqlserver_double/engine.hpp"
#include "support/sqlserver_double/sql_error.hpp"

namespace headgate::test::sqlserver {

enum class Isolation {
  kReadUncommitted,
  kReadCommitted,
  kRepeatableRead,
  kSerializable,
  kSnapshot
};

struct SessionState {
  explicit SessionState(Engine& the_engine) : engine(the_engine) {}

  Engine& engine;
  int spid = 51;
  std::string login = "sa";
  std::string application;
  std::string host;
  std::string database = "master";
  bool read_only_intent = false;

  std::map<std::string, TypedValue> variables;      // by lower-case name with its @
  std::map<std::string, TablePtr> table_variables;  // DECLARE @t TABLE, and #temporary tables
  Isolation isolation = Isolation::kReadCommitted;
  bool nocount = false;
  bool xact_abort = false;
  bool implicit_transactions = false;
  std::optional<std::int64_t> lock_timeout_ms;  // none: for ever
  std::optional<int> identity_insert;           // object id
  Transaction* transaction = nullptr;
  int tran_count = 0;  // @@TRANCOUNT
  bool doomed = false;
  std::int64_t rowcount = 0;
  std::int64_t last_error = 0;
  Value identity = Null{};
  std::vector<SqlError> caught;  // of the CATCH blocks that run now

  // Whether the client wants the running statement to end: attention, or a closed connection.
  std::function<bool()> interrupted = [] { return false; };

  // Throws SqlError 911 when the current database is gone.
  Database& current_database() const;
  bool is_sysadmin() const;
  // "select" on an object or its schema, "view server state" and the like; in lower case.
  bool may(const std::string& permission) const;
  bool may_select(const std::string& schema, const std::string& object) const;
  bool has_role(const std::string& role) const;
};

// Access to a capture instance as its functions check it: SELECT on the captured columns of the
// source, and membership in the gating role where there is one.
bool may_read_instance(const SessionState& session, const Database& database,
                       const CaptureInstance& instance);

}  // namespace headgate::test::sqlserver
