// The real FreeTDS driver, through unixODBC, against a server that says what each test wants.

#include <algorithm>
#include <chrono>
#include <functional>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "db/odbc/connection.hpp"
#include "db/odbc/statement.hpp"
#include "odbc_tds_responder.hpp"
#include "odbc_tds_script.hpp"

namespace headgate::odbc {
namespace {

namespace tds = test::tds;
using After = tds::Reply::After;
using tds::Reply;
using tds::Request;
using tds::Responder;

ConnectOptions options_for(const Responder& server) {
  ConnectOptions options;
  options.connection_string =
      "Driver=" HEADGATE_TDSODBC ";Server=127.0.0.1;Port=" + std::to_string(server.port()) +
      ";Database=shop;UID=cdc;Encryption=off";
  options.password = "geheim";
  options.role = "source";
  return options;
}

Reply tokens(std::string text) {
  return {std::move(text), After::kEnd};
}

// Answers every statement alike.
Responder::Handler always(Reply reply) {
  return [reply](const Request&) { return reply; };
}

// "ok" gets an empty answer, which shows that the connection can be used; the rest goes to `other`.
Responder::Handler besides_ok(Responder::Handler other) {
  return [other](const Request& request) {
    return request.sql == "ok" ? tokens(tds::done()) : other(request);
  };
}

// The error that `call` ends with.
OdbcError thrown_by(const std::function<void()>& call) {
  try {
    call();
  } catch (const OdbcError& error) {
    INFO(error.what());
    CHECK(error.describe().find("geheim") == std::string::npos);
    return error;
  }
  FAIL("nothing was thrown");
  throw std::logic_error("not reached");
}

std::size_t attentions(const Responder& server) {
  const auto requests = server.requests();
  return static_cast<std::size_t>(std::count_if(
      requests.begin(), requests.end(),
      [](const Request& request) { return request.kind == Request::Kind::kAttention; }));
}

std::size_t calls_of(const Responder& server, const std::string& procedure) {
  const auto requests = server.requests();
  return static_cast<std::size_t>(
      std::count_if(requests.begin(), requests.end(),
                    [&](const Request& request) { return request.procedure == procedure; }));
}

// Waits for the driver and for nothing else: each turn of the loop lets its thread run.
void await_request(const Responder& server, const std::string& sql) {
  const auto arrived = [&] {
    const auto requests = server.requests();
    return std::any_of(requests.begin(), requests.end(),
                       [&](const Request& request) { return request.sql == sql; });
  };
  while (!arrived()) {
    std::this_thread::yield();
  }
}

// ---- logging in ----

TEST_CASE("the server is told who we are, and gets the password as it is") {
  const Responder server(always(tokens(tds::done())));
  ConnectOptions options = options_for(server);
  options.password = GENERATE(as<std::string>{}, "geheim", "a;b=c", "{x", "a}b",
                              " \xC3\xA4\xE2\x82\xAC ", "';\"--");
  options.application_name = "headgate shop";
  options.read_only_intent = true;
  const Connection connection(options);
  const tds::Login login = server.logins().at(0);
  CHECK(login.user == "cdc");
  CHECK(login.password == options.password);
  CHECK(login.application == "headgate shop");
  CHECK(login.database == "shop");
  CHECK(login.tds_version == 0x74000004);
  CHECK(login.read_only);
  CHECK_FALSE(connection.lost());
}

TEST_CASE("the session's settings are run once, and a failing one fails the connection") {
  {
    const Responder server(always(tokens(tds::done())));
    ConnectOptions options = options_for(server);
    options.settings = sql_server_settings(std::chrono::milliseconds(1500));
    const Connection connection(options);
    const auto requests = server.requests();
    REQUIRE(requests.size() == 3);
    CHECK(requests[0].sql == "SET NOCOUNT ON");
    CHECK(requests[1].sql == "SET TEXTSIZE -1");
    CHECK(requests[2].sql == "SET LOCK_TIMEOUT 1500");
  }
  const Responder server(always(tokens(tds::error(229, 14, "denied") + tds::done(2))));
  ConnectOptions options = options_for(server);
  options.settings = {"SET X"};
  const OdbcError error = thrown_by([&] { Connection{options}; });
  CHECK(error.kind() == ErrorKind::kOperator);
  CHECK(std::string(error.what()) ==
        "source: cannot set up the session: denied (error 229, SQLSTATE 42000)");
}

TEST_CASE("a refused login is classed by all that the server says") {
  const auto [refusals, kind, hint] = GENERATE(table<std::string, ErrorKind, std::string>({
      {tds::error(18456, 14, "Login failed"), ErrorKind::kOperator, "check UID"},
      {tds::error(4060, 11, "Cannot open") + tds::error(18456, 14, "Login failed"),
       ErrorKind::kTransient, "does the database exist"},
      {tds::error(40613, 17, "Not available"), ErrorKind::kTransient, ""},
      {"", ErrorKind::kTransient, "Encryption=off"},
  }));
  const Reply reply{refusals + (refusals.empty() ? "" : tds::done(2)),
                    refusals.empty() ? After::kClose : After::kEnd};
  const Responder server(always(tokens("")), [&](const tds::Login&) { return reply; });
  const OdbcError error = thrown_by([&] { Connection{options_for(server)}; });
  CHECK(error.kind() == kind);
  CHECK_THAT(error.hint(), Catch::Contains(hint));
  CHECK(std::string(error.what()).starts_with("source: cannot connect: "));
}

TEST_CASE("a server that is not there, or accepts and says nothing, is waited for again") {
  const Responder server(always(tokens("")), [](const tds::Login&) {
    return Reply{"", After::kIgnoreAttention};
  });
  ConnectOptions options = options_for(server);
  options.timeout = std::chrono::milliseconds(10);  // rounded up to a second
  CHECK(thrown_by([&] { Connection{options}; }).kind() == ErrorKind::kTransient);
  options.connection_string =
      "Driver=" HEADGATE_TDSODBC ";Server=127.0.0.1;Port=1;UID=cdc;Encryption=off";
  CHECK(thrown_by([&] { Connection{options}; }).kind() == ErrorKind::kTransient);
}

TEST_CASE("encryption that is required is not done without") {
  const Responder server(always(tokens(tds::done())));
  ConnectOptions options = options_for(server);
  options.connection_string.replace(options.connection_string.find("off"), 3, "require");
  const OdbcError error = thrown_by([&] { Connection{options}; });
  CHECK_THAT(error.hint(), Catch::Contains("Encryption=off"));
  CHECK(server.logins().empty());
}

// ---- values ----

struct Sample {
  std::string type;
  std::string value;
  std::string read;  // as text; "NULL"
};

std::string shown(Statement& statement, std::size_t column) {
  if (statement.is_null(column)) {
    return "NULL";
  }
  switch (default_fetch(statement.columns()[column])) {
    case FetchAs::kInteger:
      return std::to_string(statement.integer(column));
    case FetchAs::kFloat:
      return std::to_string(statement.real(column));
    default:
      return statement.text(column);
  }
}

// Alone, so that it is bound; and behind a max column, so that it is read with SQLGetData.
TEST_CASE("a value of each type arrives whole, bound or not") {
  using namespace tds;
  const std::string astral = utf16("a\xF0\x9F\x98\x80\xC3\xA9");
  const std::vector<Sample> samples = {
      {bit_type(), int_value(1, 1), "1"},
      {int_type(1), int_value(255, 1), "255"},
      {int_type(2), int_value(-32768, 2), "-32768"},
      {int_type(4), int_value(-3, 4), "-3"},
      {int_type(8), int_value(std::numeric_limits<std::int64_t>::min(), 8), "-9223372036854775808"},
      {int_type(4), short_value(""), "NULL"},
      {float_type(8), float_value(-0.5), "-0.500000"},
      {decimal_type(38, 4), decimal_value(12345, true), "-1.2345"},
      {decimal_type(38, 38), decimal_value(1, false), "0." + std::string(37, '0') + "1"},
      {decimal_type(38, 0), short_value(""), "NULL"},
      {date_type(), date_value(0), "0001-01-01"},
      {date_type(), date_value(3652058), "9999-12-31"},
      {datetime2_type(7), datetime2_value(1234567, 0), "0001-01-01 00:00:00.1234567"},
      {datetime2_type(0), short_value(little(86399, 3) + little(3652058, 3)),
       "9999-12-31 23:59:59"},
      {nvarchar_type(5), bytes_value(astral), "a\xF0\x9F\x98\x80\xC3\xA9"},
      {nvarchar_type(4), bytes_value(astral.substr(0, 8)), "a\xF0\x9F\x98\x80\xC3\xA9"},
      {nvarchar_type(5), bytes_value(""), ""},
      {nvarchar_type(5), null_bytes(), "NULL"},
      {nvarchar_type(9), bytes_value(utf16(std::string("a\0b", 3))), std::string("a\0b", 3)},
      {varchar_type(3), bytes_value("\xE9\x80z"), "\xC3\xA9\xE2\x82\xACz"},
      {varchar_type(4, true), bytes_value("\xF0\x9F\x98\x80"), "\xF0\x9F\x98\x80"},
      {varchar_type(0, true), long_value("\xF0\x9F\x98\x80x", 1), "\xF0\x9F\x98\x80x"},
      {binary_type(10), bytes_value(std::string("\0\0\0\x27\0\0\7\x58\0\3", 10)),
       std::string("\0\0\0\x27\0\0\7\x58\0\3", 10)},
      {varbinary_type(128), bytes_value(std::string("\0\xFF", 2)), std::string("\0\xFF", 2)},
      {varbinary_type(128), bytes_value(""), ""},
      {varbinary_type(0), null_long(), "NULL"},
      {nvarchar_type(0), long_value(""), ""},
      {nvarchar_type(0), null_long(), "NULL"},
      {xml_type(), long_value(utf16("<a>\xE6\x97\xA5</a>"), 3), "<a>\xE6\x97\xA5</a>"},
  };
  std::vector<Column> list;
  std::vector<std::string> values;
  for (const Sample& sample : samples) {
    list.push_back({"c" + std::to_string(list.size()), sample.type});
    values.push_back(sample.value);
  }
  const Responder server([&](const Request& request) {
    if (request.sql == "all") {
      return tokens(columns(list) + row(values) + row(values) + done(kDoneCount, 2));
    }
    const auto i = static_cast<std::size_t>(std::stoi(request.sql));
    return tokens(columns({list[i]}) + row({values[i]}) + row({values[i]}) + done(kDoneCount, 2));
  });
  Connection connection(options_for(server));
  for (std::size_t i = 0; i < samples.size(); ++i) {
    CAPTURE(i);
    Statement statement(connection, "read");
    statement.execute(std::to_string(i));
    for (int row_number = 0; row_number < 2; ++row_number) {
      REQUIRE(statement.next());
      CHECK(shown(statement, 0) == samples[i].read);
    }
    CHECK_FALSE(statement.next());
  }
  Statement statement(connection, "read");
  statement.execute("all");
  for (int row_number = 0; row_number < 2; ++row_number) {
    REQUIRE(statement.next());
    for (std::size_t i = 0; i < samples.size(); ++i) {
      CAPTURE(i, row_number);
      CHECK(statement.columns()[i].name == "c" + std::to_string(i));
      CHECK(shown(statement, i) == samples[i].read);
    }
  }
  CHECK_FALSE(statement.next());
}

// Chunks on the wire and pieces from the driver end anywhere: in a character, in half of a pair.
TEST_CASE("a long text comes without a byte lost, wherever chunks and pieces end") {
  const std::size_t characters = GENERATE(1U, 2047U, 2048U, 2049U, 4095U, 4096U, 4097U, 300000U);
  const std::size_t chunk = GENERATE(997U, 4096U, 70001U);
  std::string text;
  std::string blob;
  for (std::size_t i = 0; i < characters; ++i) {
    text += i % 3 == 0 ? "\xF0\x9F\x98\x80" : i % 3 == 1 ? "x" : "\xE6\x97\xA5";
    blob += static_cast<char>(i * 7);
  }
  const Responder server(always(tokens(
      tds::columns({{"t", tds::nvarchar_type(0)},
                    {"u", tds::varchar_type(0, true)},
                    {"b", tds::varbinary_type(0)}}) +
      tds::row({tds::long_value(tds::utf16(text), chunk), tds::long_value(text, chunk),
                tds::long_value(blob, chunk)}) +
      tds::row({tds::long_value(tds::utf16("short")), tds::null_long(), tds::long_value("")}) +
      tds::done(tds::kDoneCount, 2))));
  Connection connection(options_for(server));
  Statement statement(connection, "read");
  statement.execute("x");
  REQUIRE(statement.next());
  CHECK((statement.bytes(0) == text));
  CHECK((statement.bytes(1) == text));
  CHECK((statement.bytes(2) == blob));
  REQUIRE(statement.next());
  CHECK(statement.bytes(0) == "short");
  CHECK(statement.is_null(1));
  CHECK(statement.bytes(2).empty());
  CHECK_FALSE(statement.next());
}

// With SQL_C_CHAR the driver would put a question mark and say nothing.
TEST_CASE("a text that UTF-8 cannot hold is that row's error, and the rows behind it are read") {
  const bool is_long = GENERATE(false, true);
  const std::string half = tds::utf16("a") + std::string("\x3D\xD8", 2) + tds::utf16("b");
  const auto value = [&](const std::string& bytes) {
    return is_long ? tds::long_value(bytes) : tds::bytes_value(bytes);
  };
  const Responder server(always(tokens(
      tds::columns({{"name", tds::nvarchar_type(is_long ? 0 : 9)}}) + tds::row({value(half)}) +
      tds::row({value(tds::utf16("fine"))}) + tds::done(tds::kDoneCount, 2))));
  Connection connection(options_for(server));
  Statement statement(connection, "read");
  statement.execute("x");
  REQUIRE(statement.next());
  try {
    statement.bytes(0);
    FAIL("it was taken");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kRow);
    CHECK_THAT(error.what(), Catch::StartsWith("source: cannot read: a text in column name"));
  }
  REQUIRE(statement.next());
  CHECK(statement.bytes(0) == "fine");
  CHECK_FALSE(statement.next());
}

TEST_CASE("the bytes of a text can be had as they are") {
  const std::string half = tds::utf16("a") + std::string("\x3D\xD8", 2);
  const Responder server(
      always(tokens(tds::columns({{"n", tds::nvarchar_type(9)}, {"v", tds::varchar_type(9)}}) +
                    tds::row({tds::bytes_value(half), tds::bytes_value("\x81")}) +
                    tds::done(tds::kDoneCount, 1))));
  Connection connection(options_for(server));
  Statement statement(connection, "read");
  statement.execute("x");
  statement.fetch_as({FetchAs::kBytes, FetchAs::kBytes});
  REQUIRE(statement.next());
  CHECK(statement.bytes(0) == half);
  CHECK(statement.bytes(1) == "\x81");
}

TEST_CASE("a value that does not fit is an error, never cut") {
  const std::string text(100, 'x');
  const bool behind_long = GENERATE(false, true);
  std::vector<tds::Column> list{{"v", tds::varchar_type(200)}};
  std::vector<std::string> values{tds::bytes_value(text)};
  std::vector<FetchAs> kinds{FetchAs::kPrinted};
  if (behind_long) {
    list.insert(list.begin(), {"m", tds::nvarchar_type(0)});
    values.insert(values.begin(), tds::null_long());
    kinds.insert(kinds.begin(), FetchAs::kText);
  }
  const Responder server(besides_ok(
      always(tokens(tds::columns(list) + tds::row(values) + tds::done(tds::kDoneCount, 1)))));
  Connection connection(options_for(server));
  Statement statement(connection, "read");
  statement.execute("x");
  statement.fetch_as(kinds);
  CHECK_THROWS_WITH(statement.next(),
                    Catch::StartsWith("source: cannot read: a value of column v is longer"));
  connection.execute("ok", "go on");
}

TEST_CASE("a value that cannot be converted is an error, whatever row of an array it is in") {
  const std::size_t place = GENERATE(0U, 1U, 2U);
  std::string rows;
  for (std::size_t i = 0; i < 3; ++i) {
    rows += tds::row({tds::bytes_value(tds::utf16(i == place ? "x" : "7"))});
  }
  const Responder server(besides_ok(always(tokens(tds::columns({{"n", tds::nvarchar_type(9)}}) +
                                                  rows + tds::done(tds::kDoneCount, 3)))));
  Connection connection(options_for(server));
  Statement statement(connection, "read");
  statement.execute("x");
  statement.fetch_as({FetchAs::kInteger});
  CHECK(thrown_by([&] {
          while (statement.next()) {
            CHECK(statement.integer(0) == 7);
          }
        }).kind() == ErrorKind::kRow);
  connection.execute("ok", "go on");
}

TEST_CASE("a value beyond the limit is refused before it fills the memory") {
  const Responder server(besides_ok(always(tokens(
      tds::columns({{"b", tds::varbinary_type(0)}}) +
      tds::row({tds::long_value(std::string(100000, 'x'))}) + tds::done(tds::kDoneCount, 1)))));
  Connection connection(options_for(server));
  Statement statement(connection, "read");
  statement.set_value_bytes_max(99999);
  statement.execute("x");
  CHECK_THROWS_WITH(statement.next(), Catch::Contains("column b is longer than 99999 bytes"));
  statement.set_value_bytes_max(100000);
  statement.execute("x");
  CHECK(statement.next());
}

// The driver would return pieces of it for ever.
TEST_CASE("a sql_variant is refused with what to select instead") {
  const Responder server(
      besides_ok(always(tokens(tds::columns({{"v", tds::variant_type()}}) +
                               tds::row({tds::little(6, 4) + std::string("\x38\0\x4D\0\0\0", 6)}) +
                               tds::done(tds::kDoneCount, 1)))));
  Connection connection(options_for(server));
  Statement statement(connection, "read");
  statement.execute("x");
  try {
    statement.next();
    FAIL("it was fetched");
  } catch (const Error& error) {
    CHECK_THAT(error.describe(), Catch::Contains("SQL_VARIANT_PROPERTY"));
  }
  connection.execute("ok", "go on");
}

// ---- rows, and what breaks off ----

// 32 of these rows make an array.
constexpr int kArrayRows = 32;

std::string wide_rows(int count) {
  std::string text = tds::columns({{"id", tds::int_type(4)}, {"t", tds::nvarchar_type(4000)}});
  for (int i = 0; i < count; ++i) {
    text += tds::row({tds::int_value(i, 4), tds::bytes_value(tds::utf16(std::to_string(i)))});
  }
  return text;
}

// How many rows come before the end; every one is looked at.
int count_rows(Statement& statement) {
  int count = 0;
  while (statement.next()) {
    CHECK(statement.integer(0) == count);
    CHECK(statement.text(1) == std::to_string(count));
    ++count;
  }
  return count;
}

TEST_CASE("as many rows come as were sent, whatever fits into an array") {
  int sent = 0;
  const Responder server([&](const Request&) {
    return tokens(wide_rows(sent) + tds::done_in_procedure(static_cast<unsigned>(sent)));
  });
  Connection connection(options_for(server));
  Statement statement(connection, "read");
  statement.prepare("x");
  for (sent = 0; sent <= 2 * kArrayRows + 1; ++sent) {
    statement.execute();
    CHECK(count_rows(statement) == sent);
    CHECK_FALSE(statement.next());
    CHECK_FALSE(statement.next_result());
  }
}

// FreeTDS 1.3.17 answers "success with info" when an error comes in the middle of an array, and
// "no more rows" and "no more results" after that: who looks at codes only takes half a result for
// the whole. At every place, since at the edge of an array it answers otherwise.
TEST_CASE("an error among the rows is never taken for their end") {
  int sent = 0;
  const bool narrow = GENERATE(false, true);
  const auto rows = [&] {
    std::string text = narrow ? tds::columns({{"id", tds::int_type(4)}}) : wide_rows(sent);
    for (int i = 0; narrow && i < sent; ++i) {
      text += tds::row({tds::int_value(i, 4)});
    }
    return text;
  };
  const Responder server(besides_ok([&](const Request&) {
    return tokens(rows() + tds::error(1205, 13, "deadlock victim") + tds::done(tds::kDoneError));
  }));
  Connection connection(options_for(server));
  for (sent = 0; sent <= 2 * kArrayRows + 1; ++sent) {
    CAPTURE(sent);
    Statement statement(connection, "read");
    const OdbcError error = thrown_by([&] {
      statement.execute("x");
      while (statement.next()) {
      }
    });
    CHECK(error.has(1205));
    CHECK(error.kind() == ErrorKind::kTransient);
    CHECK_FALSE(error.connection_lost());
    connection.execute("ok", "go on");
  }
}

TEST_CASE("a connection that ends among the rows is never taken for their end") {
  const int sent = GENERATE(0, 1, kArrayRows - 1, kArrayRows, kArrayRows + 1);
  const bool in_a_row = GENERATE(false, true);
  std::string bytes = wide_rows(sent);
  if (in_a_row) {
    bytes += tds::row({tds::int_value(sent, 4)});
  }
  const Responder server(always({bytes, After::kClose}));
  Connection connection(options_for(server));
  CHECK_FALSE(connection.lost());
  const OdbcError error = thrown_by([&] {
    Statement statement(connection, "read");
    statement.execute("x");
    while (statement.next()) {
    }
  });
  CHECK(error.kind() == ErrorKind::kTransient);
  CHECK(error.connection_lost());
  CHECK_THAT(error.what(), Catch::Contains("connection lost"));
  CHECK(connection.lost());
  CHECK(thrown_by([&] { connection.execute("x", "go on"); }).connection_lost());
}

// Directly behind the rows or behind a count, and wherever the rows end in an array.
TEST_CASE("an error behind a complete result comes up before its end is told") {
  const int sent = GENERATE(0, 1, kArrayRows - 1, kArrayRows, kArrayRows + 1);
  const bool behind_count = GENERATE(false, true);
  const Responder server(
      besides_ok(always(tokens(wide_rows(sent) + tds::done(tds::kDoneCount | tds::kDoneMore, 3) +
                               (behind_count ? tds::done_insert(tds::kDoneMore, 2) : "") +
                               tds::error(50000, 16, "geheim") + tds::done(tds::kDoneError)))));
  Connection connection(options_for(server));
  Statement statement(connection, "read");
  const OdbcError error = thrown_by([&] {
    statement.execute("x");
    count_rows(statement);
  });
  CHECK(error.has(50000));
  CHECK(error.kind() == ErrorKind::kRow);
  connection.execute("ok", "go on");
}

TEST_CASE("messages among the rows are no errors, and cost none") {
  const bool with_long = GENERATE(false, true);
  const auto one = [&](int id) {
    std::vector<std::string> values{tds::int_value(id, 4)};
    if (with_long) {
      values.push_back(tds::long_value(tds::utf16("text")));
    }
    return tds::row(values);
  };
  std::vector<tds::Column> list{{"id", tds::int_type(4)}};
  if (with_long) {
    list.push_back({"t", tds::nvarchar_type(0)});
  }
  const Responder server(always(tokens(tds::info(0, "print") + tds::columns(list) + one(0) +
                                       tds::info(8153, "null eliminated") + one(1) + one(2) +
                                       tds::info(0, "print") + tds::done(tds::kDoneCount, 3))));
  Connection connection(options_for(server));
  Statement statement(connection, "read");
  statement.execute("x");
  for (int i = 0; i < 3; ++i) {
    REQUIRE(statement.next());
    CHECK(statement.integer(0) == i);
    CHECK((!with_long || statement.bytes(1) == "text"));
  }
  CHECK_FALSE(statement.next());
}

TEST_CASE("several results come in order, with counts between them or not") {
  const int sent = GENERATE(0, 1, kArrayRows - 1, kArrayRows, kArrayRows + 1);
  const bool counts = GENERATE(false, true);
  const auto count = [&](std::uint64_t rows) {
    return counts ? tds::done_insert(tds::kDoneMore, rows) : "";
  };
  const Responder server(always(tokens(
      count(3) + count(4) + wide_rows(sent) + tds::done(tds::kDoneCount | tds::kDoneMore, 1) +
      count(2) + tds::columns({{"b", tds::nvarchar_type(4)}, {"c", tds::int_type(1)}}) +
      tds::row({tds::bytes_value(tds::utf16("z")), tds::int_value(9, 1)}) +
      tds::done(tds::kDoneCount | tds::kDoneMore, 1) + wide_rows(2) + tds::done(0x10, 2))));
  Connection connection(options_for(server));
  Statement statement(connection, "read");
  statement.execute("x");
  CHECK(statement.affected() == (counts ? 7 : 0));
  CHECK(count_rows(statement) == sent);
  CHECK_FALSE(statement.next());
  REQUIRE(statement.next_result());
  REQUIRE(statement.columns().size() == 2);
  REQUIRE(statement.next());
  CHECK(statement.text(0) == "z");
  CHECK(statement.integer(1) == 9);
  CHECK_FALSE(statement.next());
  REQUIRE(statement.next_result());
  CHECK(count_rows(statement) == 2);
  CHECK_FALSE(statement.next_result());
  CHECK(statement.columns().empty());
  CHECK(connection.execute("x", "run it all") == (counts ? 7 : 0));
}

TEST_CASE("a statement without rows and without a count is no error") {
  const Responder server(always(tokens(tds::done())));
  Connection connection(options_for(server));
  Statement statement(connection, "set an option");
  statement.execute("SET NOCOUNT ON");
  CHECK(statement.columns().empty());
  CHECK_FALSE(statement.next());
  CHECK(statement.affected() == 0);
}

TEST_CASE("a result that nobody reads to its end is given back") {
  const Responder server([](const Request& request) -> Reply {
    if (request.sql == "ok") {
      return tokens(tds::done());
    }
    return {wide_rows(1000), After::kAwaitAttention};
  });
  Connection connection(options_for(server));
  {
    Statement statement(connection, "read");
    statement.execute("x");
    REQUIRE(statement.next());
  }
  CHECK(attentions(server) == 1);
  connection.execute("ok", "go on");
  Statement statement(connection, "read");
  statement.execute("x");
  REQUIRE(statement.next());
  statement.execute("ok");
  CHECK_FALSE(statement.next());
  CHECK(attentions(server) == 2);
}

// ---- time ----

TEST_CASE("a statement that takes too long is given up, and the connection goes on") {
  const bool among_rows = GENERATE(false, true);
  const Responder server(
      besides_ok(always({among_rows ? wide_rows(kArrayRows + 1) : "", After::kAwaitAttention})));
  Connection connection(options_for(server));
  Statement statement(connection, "read");
  statement.set_timeout(std::chrono::milliseconds(1));  // rounded up to a second
  const OdbcError error = thrown_by([&] {
    statement.execute("x");
    while (statement.next()) {
    }
  });
  CHECK(error.timed_out());
  CHECK_FALSE(error.cancelled());
  CHECK(error.kind() == ErrorKind::kTransient);
  CHECK_FALSE(connection.lost());
  CHECK(attentions(server) == 1);
  connection.execute("ok", "go on");
}

// The default of the connection, here.
TEST_CASE("a server that answers nothing at all is given up after twice the time") {
  const Responder server(always({"", After::kIgnoreAttention}));
  ConnectOptions options = options_for(server);
  options.statement_timeout = std::chrono::seconds(1);
  Connection connection(options);
  const auto before = std::chrono::steady_clock::now();
  const OdbcError error = thrown_by([&] { connection.execute("x", "read"); });
  CHECK(std::chrono::steady_clock::now() - before < std::chrono::seconds(10));
  CHECK(error.kind() == ErrorKind::kTransient);
  CHECK(thrown_by([&] { connection.execute("y", "read"); }).connection_lost());
  CHECK(connection.lost());
}

TEST_CASE("another thread can cancel a statement, and the connection goes on") {
  const bool among_rows = GENERATE(false, true);
  const Responder server(
      besides_ok(always({among_rows ? wide_rows(kArrayRows + 1) : "", After::kAwaitAttention})));
  Connection connection(options_for(server));
  Statement statement(connection, "read");
  statement.cancel();  // nothing to cancel: nothing happens
  std::thread other([&] {
    await_request(server, "x");
    statement.cancel();
  });
  const OdbcError error = thrown_by([&] {
    statement.execute("x");
    while (statement.next()) {
    }
  });
  other.join();
  CHECK(error.cancelled());
  CHECK_FALSE(error.timed_out());
  CHECK(error.kind() == ErrorKind::kTransient);
  CHECK_FALSE(connection.lost());
  statement.execute("ok");
  connection.execute("ok", "go on");
}

// Done by SQLCancel there and then, FreeTDS 1.3.17 may wait for ever in the fetch that comes next.
TEST_CASE("a cancellation between two calls ends the run at the next one") {
  const Responder server(besides_ok(always({wide_rows(kArrayRows + 1), After::kAwaitAttention})));
  Connection connection(options_for(server));
  Statement statement(connection, "read");
  for (int round = 0; round < 5; ++round) {
    statement.execute("x");
    REQUIRE(statement.next());
    statement.cancel();
    const OdbcError error = thrown_by([&] {
      while (statement.next()) {
      }
    });
    CHECK(error.cancelled());
    CHECK_FALSE(statement.next());
    connection.execute("ok", "go on");
  }
}

TEST_CASE("a statement that waits holds up no other connection") {
  const Responder server(besides_ok(always({"", After::kAwaitAttention})));
  Connection waiting(options_for(server));
  Statement statement(waiting, "wait");
  std::thread other([&] {
    await_request(server, "x");
    Connection quick(options_for(server));
    for (int i = 0; i < 3; ++i) {
      quick.execute("ok", "go on");
    }
    statement.cancel();
  });
  CHECK(thrown_by([&] { statement.execute("x"); }).cancelled());
  other.join();
}

// ---- parameters ----

// Answers a call with no row, and keeps what it brought.
struct Calls {
  Responder server{[](const Request& request) {
    const bool call = request.kind == Request::Kind::kCall;
    return tokens(call ? tds::done_in_procedure(1) : tds::done());
  }};
  Connection connection{options_for(server)};

  Request last() const {
    const auto requests = server.requests();
    return requests.back();
  }
};

TEST_CASE("parameters are declared with types that fit, and arrive as they were bound") {
  Calls calls;
  Statement statement(calls.connection, "write");
  const std::string lsn("\0\0\0\x27\0\0\7\x58\0\3", 10);
  statement.bind_text(1, "caf\xC3\xA9 \xF0\x9F\x98\x80");
  statement.bind_binary(2, lsn);
  statement.bind_varbinary(3, std::string("\0\xFF", 2));
  statement.bind_integer(4, -5);
  statement.bind_real(5, 0.1);
  statement.bind_null(6, ParameterType::kNvarchar);
  statement.bind_text(7, "");
  statement.execute("INSERT t VALUES (?, ?, ?, ?, ?, ?, ?)");
  CHECK(statement.affected() == 1);
  const Request request = calls.last();
  CHECK(request.procedure == "sp_executesql");
  CHECK(request.sql == "INSERT t VALUES (@P1, @P2, @P3, @P4, @P5, @P6, @P7)");
  CHECK(request.declared ==
        "@P1 NVARCHAR(4000),@P2 BINARY(10),@P3 VARBINARY(8000),@P4 BIGINT,@P5 FLOAT,"
        "@P6 NVARCHAR(4000),@P7 NVARCHAR(4000)");
  REQUIRE(request.parameters.size() == 7);
  CHECK(tds::utf8(request.parameters[0].value) == "caf\xC3\xA9 \xF0\x9F\x98\x80");
  CHECK(request.parameters[1].value == lsn);
  CHECK(request.parameters[2].value == std::string("\0\xFF", 2));
  CHECK(request.parameters[3].value == tds::little(static_cast<std::uint64_t>(-5), 8));
  CHECK(request.parameters[4].value == tds::float_value(0.1).substr(1));
  CHECK(request.parameters[5].null);
  CHECK_FALSE(request.parameters[6].null);
  CHECK(request.parameters[6].value.empty());
}

// Bound as SQL_WVARCHAR, anything longer would be declared NVARCHAR(4000) and cut without a word.
TEST_CASE("a parameter of any length arrives whole") {
  Calls calls;
  Statement statement(calls.connection, "write");
  const std::size_t length = GENERATE(3999U, 4000U, 4001U, 8000U, 8001U, 100000U);
  CAPTURE(length);
  const std::string text(length, 'y');
  statement.bind_text(1, text);
  statement.bind_varbinary(2, text);
  statement.execute("x ? ?");
  const Request request = calls.last();
  CHECK((tds::utf8(request.parameters.at(0).value) == text));
  CHECK((request.parameters.at(1).value == text));
  CHECK(request.declared == std::string("@P1 NVARCHAR(") + (length > 4000 ? "MAX" : "4000") +
                                "),@P2 VARBINARY(" + (length > 8000 ? "MAX" : "8000") + ")");
}

// The driver prepares anew for every SQLBindParameter, so values go where the last ones were.
TEST_CASE("a prepared statement is prepared once, whatever the values that fit") {
  Calls calls;
  Statement statement(calls.connection, "write");
  statement.prepare("x ? ? ?");
  for (int i = 0; i < 5; ++i) {
    statement.bind_text(1, std::string(static_cast<std::size_t>(i) * 1000, 'a'));
    statement.bind_integer(2, i);
    if (i == 3) {
      statement.bind_null(3, ParameterType::kBinary);
    } else {
      statement.bind_binary(3, std::string(10, static_cast<char>('0' + i)));
    }
    statement.execute();
    CHECK(calls.last().parameters.at(0).value.size() == static_cast<std::size_t>(i) * 2000);
    CHECK(calls.last().parameters.at(1).value == tds::little(static_cast<unsigned>(i), 8));
    CHECK(calls.last().parameters.at(2).null == (i == 3));
  }
  CHECK(calls_of(calls.server, "sp_prepexec") == 1);
  CHECK(calls_of(calls.server, "sp_execute") == 4);
  statement.bind_text(1, std::string(5000, 'b'));
  statement.execute();
  CHECK(calls.last().parameters.at(0).value.size() == 10000);
  CHECK(calls_of(calls.server, "sp_prepexec") == 2);
  statement.bind_text(1, "short");
  statement.execute();
  CHECK(tds::utf8(calls.last().parameters.at(0).value) == "short");
  CHECK(calls.last().sql == "x @P1 @P2 @P3");
}

TEST_CASE("a parameter that is not UTF-8 is refused before anything is sent") {
  Calls calls;
  Statement statement(calls.connection, "write");
  CHECK_THROWS_WITH(statement.bind_text(1, "\xFF"),
                    "source: cannot write: a parameter is not UTF-8");
  CHECK(calls.server.requests().empty());
}

TEST_CASE("a statement text reaches the server as it was written") {
  Calls calls;
  calls.connection.execute("SELECT N'\xF0\x9F\x98\x80 caf\xC3\xA9 ?', [a?b] -- ?", "read");
  CHECK(calls.last().sql == "SELECT N'\xF0\x9F\x98\x80 caf\xC3\xA9 ?', [a?b] -- ?");
}

// ---- transactions ----

std::vector<Request::Kind> kinds_of(const Responder& server) {
  std::vector<Request::Kind> kinds;
  for (const Request& request : server.requests()) {
    kinds.push_back(request.kind);
  }
  return kinds;
}

TEST_CASE("with autocommit off the driver begins, and commit and rollback end it") {
  const Responder server([](const Request& request) {
    return tokens(request.kind == Request::Kind::kBatch ? tds::done() : "");
  });
  Connection connection(options_for(server));
  connection.set_autocommit(false);
  connection.execute("x", "write");
  connection.commit();
  connection.execute("y", "write");
  connection.rollback();
  connection.set_autocommit(true);
  const auto kinds = kinds_of(server);
  CHECK(std::count(kinds.begin(), kinds.end(), Request::Kind::kBegin) >= 1);
  CHECK(std::count(kinds.begin(), kinds.end(), Request::Kind::kCommit) >= 1);
  CHECK(std::count(kinds.begin(), kinds.end(), Request::Kind::kRollback) >= 1);
  connection.execute("z", "read");
}

TEST_CASE("a commit whose answer does not arrive is in doubt") {
  const bool in_sql = GENERATE(false, true);
  const Responder server([](const Request& request) -> Reply {
    if (request.kind == Request::Kind::kCommit || request.sql == "COMMIT") {
      return {"", After::kClose};
    }
    return tokens(request.kind == Request::Kind::kBatch ? tds::done() : "");
  });
  Connection connection(options_for(server));
  if (!in_sql) {
    connection.set_autocommit(false);
  }
  connection.execute("x", "write");
  const OdbcError error = thrown_by(
      [&] { in_sql ? connection.execute_commit("COMMIT", "commit") : connection.commit(); });
  CHECK(error.kind() == ErrorKind::kInDoubt);
  CHECK(error.connection_lost());
  CHECK(connection.lost());
}

TEST_CASE("a commit that is not answered in time is in doubt") {
  const Responder server(besides_ok(always({"", After::kAwaitAttention})));
  ConnectOptions options = options_for(server);
  options.statement_timeout = std::chrono::seconds(1);
  Connection connection(options);
  const OdbcError error = thrown_by([&] { connection.execute_commit("COMMIT", "commit"); });
  CHECK(error.kind() == ErrorKind::kInDoubt);
  CHECK_FALSE(connection.lost());
}

TEST_CASE("a commit that the server refuses did not happen") {
  const bool in_sql = GENERATE(false, true);
  const Responder server([](const Request& request) {
    if (request.kind == Request::Kind::kCommit || request.sql == "COMMIT") {
      return tokens(tds::error(3960, 16, "snapshot conflict") + tds::done(tds::kDoneError));
    }
    return tokens(request.kind == Request::Kind::kBatch ? tds::done() : "");
  });
  Connection connection(options_for(server));
  if (!in_sql) {
    connection.set_autocommit(false);
  }
  const OdbcError error = thrown_by(
      [&] { in_sql ? connection.execute_commit("COMMIT", "commit") : connection.commit(); });
  CHECK(error.kind() == ErrorKind::kTransient);
  CHECK(error.has(3960));
  CHECK_FALSE(error.connection_lost());
}

TEST_CASE("a connection with an open transaction can be given up") {
  const Responder server([](const Request& request) {
    return tokens(request.kind == Request::Kind::kBatch ? tds::done() : "");
  });
  {
    Connection connection(options_for(server));
    connection.set_autocommit(false);
    connection.execute("x", "write");
  }
  const auto kinds = kinds_of(server);
  CHECK(std::count(kinds.begin(), kinds.end(), Request::Kind::kCommit) == 0);
}

}  // namespace
}  // namespace headgate::odbc
