// What a test tells the double to do wrong.

#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "support/sqlserver_double/database.hpp"
#include "support/sqlserver_double/sql_error.hpp"

namespace headgate::test::sqlserver {

// When the connection of a struck statement is reset.
enum class Drop {
  kNever,
  kBeforeRunning,  // the statement never ran
  kBeforeReply,    // it ran, and what it committed is committed; nobody is told
  kInRows,         // after `rows` rows of its result, between two rows
  kInsideRow,      // after them, in the middle of the next row
  kAfterReply,     // the reply is whole
};

enum class ErrorPlace {
  kInstead,      // of running
  kAfterRows,    // behind `rows` rows of the result
  kAfterResult,  // behind the whole result, where only who drains the answer finds it
};

// One rule. It strikes the statements that match it, from the `skip`-th on, `times` times.
struct Fault {
  // which statements
  std::string pattern;      // a regular expression, not case-sensitive, found anywhere; empty: all
  int connection = 0;       // its number in the order of acceptance, from 1; 0: any
  std::string application;  // of the login; empty: any
  unsigned skip = 0;
  unsigned times = 1;

  // before it runs, on the connection's thread and without any lock: to clean up between two
  // queries, say; and right after it ran, before the answer is sent
  std::function<void()> before;
  std::function<void()> after;

  // The answer waits until release(), or for `delay`. A client that sends attention meanwhile gets
  // its acknowledgement, the statement not having run; or none, with `ignores_attention`.
  bool held = false;
  std::chrono::milliseconds delay{0};
  std::function<std::chrono::milliseconds()> delays;  // in its place, asked anew at each strike
  bool ignores_attention = false;
  std::chrono::milliseconds packet_delay{0};  // before each packet of the answer

  std::optional<SqlError> error;
  ErrorPlace error_place = ErrorPlace::kInstead;
  Drop drop = Drop::kNever;
  std::size_t rows = 0;

  // Changes each result on its way.
  std::function<void(Rowset&)> rewrite;
};

constexpr unsigned kAlways = std::numeric_limits<unsigned>::max();

// For Fault::rewrite; a column that the result has not is left alone.
std::function<void(Rowset&)> nulls_in(const std::string& column);
std::function<void(Rowset&)> bytes_in(const std::string& column, const std::string& bytes);
std::function<void(Rowset&)> no_rows();
// Only the first `count` rows, as a torn read gives them.
std::function<void(Rowset&)> only_rows(std::size_t count);

// What happens to logins.
struct LoginFault {
  std::vector<SqlError> errors;  // 4060 then 18456, say; empty: the login is cut off
  unsigned times = 1;
};

using FaultId = int;

// Thread-safe.
class FaultScript {
 public:
  FaultId add(Fault fault);
  void add_login(LoginFault fault);
  // Lets held statements go on; later ones are not held.
  void release(FaultId id);
  // Forgets rules, and releases what they hold.
  void remove(FaultId id);
  void clear();
  // How often it has struck.
  unsigned struck(FaultId id) const;

  // For the connections.
  struct Strike {
    FaultId id = 0;
    Fault fault;
  };
  std::optional<Strike> match(const std::string& statement, int connection,
                              const std::string& application);
  std::optional<LoginFault> match_login();
  bool is_held(FaultId id) const;

 private:
  struct Rule {
    Fault fault;
    unsigned seen = 0;
    unsigned struck = 0;
    bool held = false;
  };
  mutable std::mutex mutex_;
  std::map<FaultId, Rule> rules_;
  std::vector<LoginFault> login_rules_;
  FaultId last_id_ = 0;
};

}  // namespace headgate::test::sqlserver
