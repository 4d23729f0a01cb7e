// ODBC's diagnostics as our errors: classed by the server's own number first and by SQLSTATE
// second, in words that hold no value of a row and no secret.
//
// SQLSTATE alone misleads: FreeTDS gives a deadlock 42000, a lost connection 01000, and of a row
// array whose reading failed in the middle it says "success with info" (seen with 1.3.17). So every
// record is read, after every call that did not succeed plainly.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <sql.h>

#include "base/error.hpp"
#include "db/odbc/driver_registry.hpp"

namespace headgate::odbc {

// One diagnostic record.
struct Diagnostic {
  std::string sqlstate;     // five characters
  std::int32_t native = 0;  // SQL Server's error number; FreeTDS's own from 20000 to 20999; 0: none
  int severity = 0;         // SQL Server's, 0 where the driver does not tell: at login, say
  std::string message;      // in UTF-8, without the drivers' "[…]" in front, on one line
};

// All records of a handle, in the driver's order, which is not the order in time. Never throws but
// for lack of memory.
std::vector<Diagnostic> read_diagnostics(SQLSMALLINT handle_type, SQLHANDLE handle,
                                         DriverKind driver);

// Stands for an error even if the call that left it says it succeeded with info.
bool is_failure(const Diagnostic& diagnostic);

// What a set of records calls for. Where several numbers are known the one that passes by itself
// wins: 40613 (database being moved) arrives together with 18456 (login failed). Unknown numbers
// are a person's to look at, unless severity (17 and more) or the connection says otherwise.
ErrorKind kind_of(const std::vector<Diagnostic>& diagnostics, bool connection_lost);

// An Error that keeps what the few callers need that go on after a certain one.
class OdbcError : public Error {
 public:
  // Of whom, and while doing what ("cannot {doing}"), in which state of the connection.
  struct Context {
    std::string role;
    std::string doing;
    DriverKind driver = DriverKind::kOther;
    bool connection_lost = false;
    bool cancelled = false;  // cancel() was called for this statement
  };

  OdbcError(const Context& context, std::vector<Diagnostic> diagnostics);

  // One of the records has this number: 208 (no such object), 313 (LSN outside the range) …
  bool has(std::int32_t native) const;
  const std::vector<Diagnostic>& diagnostics() const { return diagnostics_; }

  // The session is gone, with its locks and its transaction.
  bool connection_lost() const { return connection_lost_; }
  // Given up by us: statement time-out or cancel(). The connection can be used again unless lost.
  bool timed_out() const { return timed_out_; }
  bool cancelled() const { return cancelled_; }

  // The same failure of a COMMIT: kInDoubt where the server may have committed nevertheless, which
  // is whenever its answer did not arrive.
  OdbcError of_commit() const;

 private:
  OdbcError(const OdbcError& other, ErrorKind kind, const std::string& hint);

  std::vector<Diagnostic> diagnostics_;
  bool connection_lost_ = false;
  bool timed_out_ = false;
  bool cancelled_ = false;
};

}  // namespace headgate::odbc
