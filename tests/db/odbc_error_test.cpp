#include "db/odbc/odbc_error.hpp"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

namespace headgate::odbc {
namespace {

Diagnostic record(const std::string& sqlstate, std::int32_t native, int severity = 16,
                  const std::string& message = "server's words") {
  return {sqlstate, native, severity, message};
}

OdbcError error_of(std::vector<Diagnostic> records, bool lost = false, bool cancelled = false) {
  return OdbcError({"source", "read the log", DriverKind::kFreeTds, lost, cancelled},
                   std::move(records));
}

// FreeTDS's SQLSTATEs on purpose: 42000 for a deadlock, 01000 for a lost connection.
TEST_CASE("an error is classed by the server's number whatever SQLSTATE the driver gives it") {
  const auto [sqlstate, native, kind] = GENERATE(table<std::string, int, ErrorKind>({
      {"42000", 1205, ErrorKind::kTransient},  {"40001", 1205, ErrorKind::kTransient},
      {"42000", 1222, ErrorKind::kTransient},  {"42000", 3960, ErrorKind::kTransient},
      {"42000", 3961, ErrorKind::kTransient},  {"42000", 601, ErrorKind::kTransient},
      {"42000", 701, ErrorKind::kTransient},   {"42000", 8645, ErrorKind::kTransient},
      {"01000", 20017, ErrorKind::kTransient}, {"08S01", 20009, ErrorKind::kTransient},
      {"01000", 20002, ErrorKind::kTransient}, {"01000", 20004, ErrorKind::kTransient},
      {"42000", 40613, ErrorKind::kTransient}, {"42000", 40501, ErrorKind::kTransient},
      {"42000", 983, ErrorKind::kTransient},   {"42000", 35250, ErrorKind::kTransient},
      {"42000", 4060, ErrorKind::kTransient},  {"08S01", 10054, ErrorKind::kTransient},
      {"42000", 9002, ErrorKind::kSystemic},   {"42000", 1105, ErrorKind::kSystemic},
      {"HY000", 823, ErrorKind::kSystemic},    {"42000", 18456, ErrorKind::kOperator},
      {"28000", 18456, ErrorKind::kOperator},  {"42000", 229, ErrorKind::kOperator},
      {"42000", 22981, ErrorKind::kOperator},  {"42S02", 208, ErrorKind::kOperator},
      {"42S22", 207, ErrorKind::kOperator},    {"42000", 313, ErrorKind::kOperator},
      {"42000", 22901, ErrorKind::kOperator},  {"42000", 102, ErrorKind::kOperator},
      {"01000", 20214, ErrorKind::kOperator},  {"42000", 99999, ErrorKind::kRow},
      {"23000", 2627, ErrorKind::kRow},        {"23000", 547, ErrorKind::kRow},
      {"42000", 2628, ErrorKind::kRow},        {"HY019", 8115, ErrorKind::kRow},
      {"22007", 242, ErrorKind::kRow},         {"42000", 50001, ErrorKind::kRow},
      {"42000", 12345, ErrorKind::kOperator},
  }));
  CAPTURE(sqlstate, native);
  CHECK(error_of({record(sqlstate, native)}).kind() == kind);
}

TEST_CASE("without a number the SQLSTATE decides, and the unknown is a person's to look at") {
  const auto [sqlstate, kind] = GENERATE(table<std::string, ErrorKind>({
      {"08S01", ErrorKind::kTransient},
      {"08001", ErrorKind::kTransient},
      {"HYT00", ErrorKind::kTransient},
      {"HYT01", ErrorKind::kTransient},
      {"HY008", ErrorKind::kTransient},
      {"40001", ErrorKind::kTransient},
      {"HY001", ErrorKind::kSystemic},
      {"22003", ErrorKind::kRow},
      {"23000", ErrorKind::kRow},
      {"44000", ErrorKind::kRow},
      {"IM002", ErrorKind::kOperator},
      {"HY000", ErrorKind::kOperator},
      {"24000", ErrorKind::kOperator},
      {"42000", ErrorKind::kOperator},
  }));
  CAPTURE(sqlstate);
  CHECK(error_of({record(sqlstate, 0, 0)}).kind() == kind);
}

TEST_CASE("an unknown number is transient when the server is in trouble or the connection gone") {
  CHECK(kind_of({record("42000", 12345, 16)}, false) == ErrorKind::kOperator);
  CHECK(kind_of({record("42000", 12345, 17)}, false) == ErrorKind::kTransient);
  CHECK(kind_of({record("42000", 12345, 16)}, true) == ErrorKind::kTransient);
  CHECK(kind_of({}, false) == ErrorKind::kOperator);
  CHECK(kind_of({}, true) == ErrorKind::kTransient);
}

// Records come by severity, not by time, and most failures bring several.
TEST_CASE("all records count, in whichever order they come") {
  const Diagnostic failed = record("08001", 0, 0, "Unable to connect to data source");
  const Diagnostic login = record("42000", 18456, 0, "Login failed for user 'cdc'");
  const Diagnostic moving = record("42000", 40613, 0, "Database is not currently available");
  const Diagnostic database = record("42000", 4060, 0, "Cannot open database");

  CHECK(error_of({login, failed}).kind() == ErrorKind::kOperator);
  CHECK(error_of({failed, login}).kind() == ErrorKind::kOperator);
  CHECK(error_of({login, moving, failed}).kind() == ErrorKind::kTransient);
  CHECK(error_of({login, database, failed}).kind() == ErrorKind::kTransient);
  CHECK_THAT(error_of({login, database, failed}).hint(),
             Catch::Contains("does the database exist"));
  const OdbcError both = error_of({login, database, failed});
  CHECK(both.has(18456));
  CHECK(both.has(4060));
  CHECK_FALSE(both.has(1205));
  CHECK(std::string(both.what()) ==
        "source: cannot read the log: Login failed for user 'cdc' (error 18456, SQLSTATE 42000); "
        "Cannot open database (error 4060, SQLSTATE 42000)");
}

TEST_CASE("notices beside a failure are left out of its text") {
  CHECK(std::string(error_of({record("01000", 3621, 0, "The statement has been terminated"),
                              record("42S02", 208, 16, "Invalid object name 'cdc.x_CT'")})
                        .what()) ==
        "source: cannot read the log: Invalid object name 'cdc.x_CT' (error 208, SQLSTATE 42S02)");
}

// The server's text for these quotes the row, and a trigger's text is anything.
TEST_CASE("no value of a row gets into an error's text") {
  const auto [sqlstate, native, says] = GENERATE(table<std::string, int, std::string>({
      {"23000", 2627, "a row with the same key is there already"},
      {"23000", 2601, "a row with the same key is there already"},
      {"42000", 2628, "a value is too long"},
      {"22001", 8152, "a value is too long"},
      {"22001", 0, "a value is too long"},
      {"42000", 220, "out of its column's range"},
      {"22003", 0, "out of its column's range"},
      {"42000", 245, "cannot be read as its column's type"},
      {"42000", 248, "cannot be read as its column's type"},
      {"42000", 50000, "a trigger or procedure raises an error"},
      {"45000", 1644, "refuses a value"},
      {"23000", 1062, "a constraint refuses a row"},
      {"22018", 0, "refuses a value"},
  }));
  CAPTURE(sqlstate, native);
  const OdbcError error = error_of({record(sqlstate, native, 16, "it is (geheim)")});
  CHECK(error.kind() == ErrorKind::kRow);
  CHECK_THAT(error.what(), Catch::Contains(says));
  CHECK(error.describe().find("geheim") == std::string::npos);
}

TEST_CASE("a constraint's name is shown where the server's text holds nothing else") {
  const OdbcError error = error_of({record("23000", 547, 16, "conflicted with \"fk_orders\"")});
  CHECK_THAT(error.what(), Catch::Contains("fk_orders"));
}

// FreeTDS says "success with info" of a row array whose reading failed on the way.
TEST_CASE("a record of a call that succeeded is a failure unless it is a notice") {
  CHECK(is_failure(record("42000", 1205, 13)));
  CHECK(is_failure(record("01000", 20017, 0)));
  CHECK(is_failure(record("01000", 1205, 13)));
  CHECK(is_failure(record("HY000", 0, 0)));
  CHECK(is_failure(record("01S00", 0, 0)));
  CHECK_FALSE(is_failure(record("01000", 5701, 0)));
  CHECK_FALSE(is_failure(record("01000", 0, 10)));
  CHECK_FALSE(is_failure(record("01004", 0, 0)));
  CHECK_FALSE(is_failure(record("00000", 0, 0)));
}

TEST_CASE("a lost connection, a time-out and a cancelled statement can be told apart") {
  const OdbcError lost = error_of({record("01000", 20017, 0)});
  CHECK(lost.connection_lost());
  CHECK_FALSE(lost.timed_out());

  const OdbcError late = error_of({record("HYT00", 0, 0), record("HY008", 0, 0)});
  CHECK(late.timed_out());
  CHECK_FALSE(late.connection_lost());
  CHECK(late.kind() == ErrorKind::kTransient);

  const OdbcError cancelled = error_of({record("HY008", 0, 0)}, false, true);
  CHECK(cancelled.cancelled());
  CHECK_FALSE(cancelled.timed_out());
  CHECK(std::string(cancelled.what()) == "source: cannot read the log: cancelled");

  // unixODBC may answer a cancelled fetch with "function sequence error".
  CHECK(error_of({record("HY010", 0, 0)}, false, true).kind() == ErrorKind::kTransient);
}

TEST_CASE("a commit without an answer is in doubt, a refused one is not") {
  CHECK(error_of({record("01000", 20017, 0)}).of_commit().kind() == ErrorKind::kInDoubt);
  CHECK(error_of({record("HYT00", 0, 0)}).of_commit().kind() == ErrorKind::kInDoubt);
  CHECK(error_of({record("08007", 0, 0)}).of_commit().kind() == ErrorKind::kInDoubt);
  CHECK(error_of({record("40003", 0, 0)}).of_commit().kind() == ErrorKind::kInDoubt);
  CHECK(error_of({}, true).of_commit().kind() == ErrorKind::kInDoubt);
  CHECK(error_of({record("HY008", 0, 0)}, false, true).of_commit().kind() == ErrorKind::kInDoubt);

  CHECK(error_of({record("42000", 1205, 13)}).of_commit().kind() == ErrorKind::kTransient);
  CHECK(error_of({record("42000", 3960, 16)}).of_commit().kind() == ErrorKind::kTransient);
  CHECK(error_of({record("23000", 547, 16)}).of_commit().kind() == ErrorKind::kRow);
  const OdbcError doubt = error_of({record("01000", 20017, 0)}).of_commit();
  CHECK(doubt.connection_lost());
  CHECK(doubt.has(20017));
}

}  // namespace
}  // namespace headgate::odbc
