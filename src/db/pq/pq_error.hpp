// libpq's errors as ours: classed by SQLSTATE, in words that hold no value of a row and no secret.

#pragma once

#include <string>
#include <string_view>

#include <libpq-fe.h>

#include "base/error.hpp"

namespace headgate::pq {

// The class of an error by its SQLSTATE; unknown ones are a person's to look at.
ErrorKind kind_of_sqlstate(std::string_view sqlstate);

// What `result` stands for, or a lost connection when it has no SQLSTATE. `role` names the
// connection, `doing` completes "cannot …".
Error error_of_result(PGconn* connection, const PGresult* result, const std::string& role,
                      std::string_view doing);

// Why `connection` could not be made. REQUIRES: its verbosity was PQERRORS_VERBOSE from the start,
// since libpq tells the SQLSTATE of a refusal only so.
Error error_of_refusal(PGconn* connection, const std::string& role);

// libpq's message without its line ends.
std::string one_line(std::string_view text);

}  // namespace headgate::pq
