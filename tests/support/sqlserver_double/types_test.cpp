// Every type at its limits, from T-SQL to the driver and through change tables.

#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "support/sqlserver_double/odbc_client.hpp"
#include "support/sqlserver_double/sqlserver_double.hpp"

namespace headgate::test {
namespace {

std::string dsn(const SqlServerDouble& server) {
  return server.connection_string(HEADGATE_TDSODBC);
}

// A literal of a type, and what the driver says it is: SQLDescribeCol's code and the text.
struct TypeCase {
  const char* type;
  const char* literal;
  int described;
  const char* text;
};

const std::vector<TypeCase>& type_cases() {
  static const std::vector<TypeCase> cases = {
      {"bit", "1", -7, "1"},
      {"tinyint", "255", -6, "255"},
      {"smallint", "-32768", 5, "-32768"},
      {"int", "-2147483648", 4, "-2147483648"},
      {"bigint", "-9223372036854775808", -5, "-9223372036854775808"},
      {"real", "0.1", 7, "0.100000001"},
      {"float", "0.1", 8, "0.10000000000000001"},
      {"float", "1.7976931348623157e308", 8, "1.7976931348623157e+308"},
      {"float", "2.2250738585072014e-308", 8, "2.2250738585072014e-308"},
      {"smallmoney", "-214748.3648", 3, "-214748.3648"},
      {"money", "922337203685477.5807", 3, "922337203685477.5807"},
      {"money", "-922337203685477.5808", 3, "-922337203685477.5808"},
      {"decimal(38,0)", "99999999999999999999999999999999999999", 2,
       "99999999999999999999999999999999999999"},
      {"decimal(38,38)", "-0.00000000000000000000000000000000000001", 2,
       "-0.00000000000000000000000000000000000001"},
      {"numeric(5,5)", "0.00001", 2, "0.00001"},
      {"decimal(19,4)", "-123456789012345.6789", 2, "-123456789012345.6789"},
      {"date", "'0001-01-01'", 91, "1-01-01"},  // FreeTDS does not pad years
      {"date", "'9999-12-31'", 91, "9999-12-31"},
      {"time(7)", "'23:59:59.9999999'", -154, "23:59:59.9999999"},
      {"time(0)", "'23:59:58'", -154, "23:59:58"},
      {"smalldatetime", "'2079-06-06T23:59:00'", 93, "2079-06-06 23:59:00"},
      {"datetime", "'1753-01-01'", 93, "1753-01-01 00:00:00.000"},
      {"datetime", "'9999-12-31T23:59:59.997'", 93, "9999-12-31 23:59:59.997"},
      {"datetime", "'2024-02-29T12:34:56.995'", 93, "2024-02-29 12:34:56.997"},
      {"datetime2(7)", "'9999-12-31T23:59:59.9999999'", 93, "9999-12-31 23:59:59.9999999"},
      {"datetime2(3)", "'2024-02-29T12:34:56.1235'", 93, "2024-02-29 12:34:56.124"},
      {"datetime2(0)", "'2024-02-29T12:34:56'", 93, "2024-02-29 12:34:56"},
      {"datetimeoffset(7)", "'2024-02-29T23:30:00.0000001+05:30'", -155,
       "2024-02-29 23:30:00.0000001 +05:30"},
      {"datetimeoffset(3)", "'2024-03-01T00:15:00.123 -09:30'", -155,
       "2024-03-01 00:15:00.123 -09:30"},
      {"char(5)", "'ab'", 1, "ab   "},
      {"varchar(20)", "'café €'", 12, "café €"},
      {"varchar(40) COLLATE Latin1_General_100_CI_AS_SC_UTF8", "N'日本 😀'", 12, "日本 😀"},
      {"varchar(20)", "''", 12, ""},
      {"nchar(5)", "N'日本'", -8, "日本   "},
      {"nvarchar(40)", "N'日本 😀'", -9, "日本 😀"},
      {"nvarchar(max)", "N'😀 max'", -9, "😀 max"},
      {"varchar(max)", "'é max'", 12, "é max"},
      {"text", "'old é'", -1, "old é"},
      {"ntext", "N'old 😀'", -10, "old 😀"},
      {"binary(4)", "0x0102", -2, "01020000"},
      {"varbinary(8)", "0x00FF", -3, "00ff"},
      {"varbinary(max)", "0x00FE01", -3, "00fe01"},
      {"image", "0xCAFE", -4, "cafe"},
      {"uniqueidentifier", "'6F9619FF-8B86-D011-B42D-00C04FC964FF'", -11,
       "6F9619FF-8B86-D011-B42D-00C04FC964FF"},
      {"xml", "N'<a>日</a>'", -152, "<a>日</a>"},
  };
  return cases;
}

TEST_CASE("every type comes back as what it is") {
  SqlServerDouble server;
  OdbcClient client(dsn(server));
  for (const TypeCase& given : type_cases()) {
    INFO(given.type << " " << given.literal);
    client.run(std::string("CREATE TABLE x (id int, v ") + given.type + ")");
    client.run(std::string("INSERT INTO x VALUES (1, ") + given.literal + "), (2, NULL)");
    const auto result = client.run("SELECT v FROM x ORDER BY id").back();
    CHECK(result.types[0] == given.described);
    CHECK(result.rows[0][0] == given.text);
    CHECK_FALSE(result.rows[1][0].has_value());
    client.run("DROP TABLE x");
  }
}

TEST_CASE("text is compared as the collation of its column, or of COLLATE, says") {
  struct Order {
    const char* collation;
    const char* sorted;  // of the six words that are inserted
    int equal_to_a;      // of these
    bool takes_another_case;
  };
  const Order orders[] = {
      {"SQL_Latin1_General_CP1_CI_AS", "_ a B c Z \u00e9", 1, false},
      {"Latin1_General_CS_AS", "_ a B c Z \u00e9", 0, true},
      {"Latin1_General_CI_AI", "_ a B c \u00e9 Z", 1, false},
      {"Latin1_General_BIN2", "B Z _ a c \u00e9", 0, true},
  };
  SqlServerDouble server;
  for (const Order& order : orders) {
    INFO(order.collation);
    const std::string collation = order.collation;
    server.execute("CREATE TABLE x (w nvarchar(10) COLLATE " + collation +
                   " NOT NULL PRIMARY KEY); CREATE TABLE y (w nvarchar(10));"
                   "INSERT INTO x VALUES (N'a'), (N'B'), (N'c'), (N'Z'), (N'_'), (N'\u00e9');"
                   "INSERT INTO y SELECT w FROM x");
    const auto words = [&](const std::string& sql) {
      std::string text;
      const auto result = server.execute(sql).back();
      for (const auto& row : result.rows) {
        text += (text.empty() ? "" : " ") + row[0];
      }
      return text;
    };
    CHECK(words("SELECT w FROM x ORDER BY w") == order.sorted);
    CHECK(words("SELECT w FROM y ORDER BY w COLLATE " + collation) == order.sorted);
    CHECK(words("SELECT w FROM y ORDER BY w") == "_ a B c Z \u00e9");
    const std::string after_a =
        std::string(order.sorted).substr(std::string(order.sorted).find("a "));
    CHECK("a " + words("SELECT w FROM x WHERE w > N'a' ORDER BY w") == after_a);
    CHECK("a " + words("SELECT w FROM y WHERE w COLLATE " + collation +
                       " > CONVERT(nvarchar(10), "
                       "N'a') ORDER BY w COLLATE " +
                       collation) ==
          after_a);
    CHECK(server.value("SELECT COUNT(*) FROM x WHERE w = N'A'") ==
          std::to_string(order.equal_to_a));
    CHECK(
        server.value("SELECT collation_name FROM sys.columns WHERE object_id = OBJECT_ID(N'x')") ==
        order.collation);
    if (order.takes_another_case) {
      server.execute("INSERT INTO x VALUES (N'A')");
      CHECK(words("SELECT w FROM x WHERE w IN (N'a', N'A') ORDER BY w") ==
            (collation.find("BIN") == std::string::npos ? "a A" : "A a"));
    } else {
      CHECK_THROWS_AS(server.execute("INSERT INTO x VALUES (N'A')"), sqlserver::SqlError);
    }
    server.execute("DROP TABLE x; DROP TABLE y");
  }
  CHECK_THROWS_AS(server.execute("CREATE TABLE x (w varchar(10) COLLATE Klingon_CI_AS)"),
                  sqlserver::SqlError);
}

TEST_CASE("every type passes through a change table") {
  SqlServerDouble server;
  std::string columns = "id int PRIMARY KEY";
  std::string literals;
  std::string names;
  int number = 0;
  for (const TypeCase& given : type_cases()) {
    const std::string name = "c" + std::to_string(++number);
    columns += ", " + name + " " + given.type + " NOT NULL";
    literals += std::string(", ") + given.literal;
    names += (names.empty() ? "" : ", ") + name;
  }
  server.execute("EXEC sys.sp_cdc_enable_db; CREATE TABLE x (" + columns +
                 ", rv rowversion);"
                 "EXEC sys.sp_cdc_enable_table N'dbo', N'x', @role_name = NULL;"
                 "INSERT INTO x VALUES (1" +
                 literals + "); DELETE FROM x");
  server.capture();
  OdbcClient client(dsn(server));
  const auto rows =
      client.run("SELECT __$operation, " + names + ", rv FROM cdc.dbo_x_CT ORDER BY __$start_lsn")
          .back();
  REQUIRE(rows.rows.size() == 2);
  for (std::size_t at = 0; at < type_cases().size(); ++at) {
    INFO(type_cases()[at].type);
    CHECK(rows.types[at + 1] == type_cases()[at].described);
    CHECK(rows.rows[0][at + 1] == type_cases()[at].text);
    // text, ntext and image are not in the row of a delete, whatever the source says of NULL.
    const std::string type = type_cases()[at].type;
    const bool lost = type == "text" || type == "ntext" || type == "image";
    CHECK(rows.rows[1][at + 1].has_value() == !lost);
  }
  CHECK(rows.rows[0].back() == rows.rows[1].back());
  CHECK(rows.rows[0].back()->size() == 16);
}

TEST_CASE("variants and CLR types are bytes with a name") {
  SqlServerDouble server;
  OdbcClient client(dsn(server));
  client.run(
      "CREATE TABLE x (id int, v sql_variant, h hierarchyid, g geography);"
      "INSERT INTO x VALUES (1, 77, 0x5AC0, 0xE6100000010C), (2, N'hi', NULL, NULL),"
      "(3, CAST('2024-02-29' AS date), NULL, NULL), (4, CAST(1.50 AS decimal(9,2)), NULL, NULL), "
      "(5, NULL, NULL, NULL)");
  CHECK(client.table("SELECT CONVERT(nvarchar(60), v), CONVERT(nvarchar(60), "
                     "SQL_VARIANT_PROPERTY(v, 'BaseType')) FROM x") ==
        "77,int;hi,nvarchar;2024-02-29,date;1.50,decimal;NULL,NULL");
  const auto udt = client.run("SELECT h, g FROM x WHERE id = 1").back();
  CHECK(udt.rows[0][0] == "5ac0");
  CHECK(udt.rows[0][1] == "e6100000010c");
  CHECK(udt.types[0] == -4);
  CHECK(client.value("SELECT g.STAsBinary() FROM x WHERE id = 1") == "e6100000010c");
}

TEST_CASE("values of many megabytes arrive whole however they are cut") {
  SqlServerDouble server;
  OdbcClient client(dsn(server));
  client.run("CREATE TABLE x (n nvarchar(max), b varbinary(max))");
  client.run(
      "INSERT INTO x VALUES (REPLICATE(CONVERT(nvarchar(max), N'日😀x'), 300000), "
      "CONVERT(varbinary(max), REPLICATE(CONVERT(varchar(max), 'abc'), 1000000)))");
  // Three bytes cut a UTF-16 unit in two, two and four a surrogate pair.
  for (const std::size_t chunk :
       {std::size_t{4000}, std::size_t{2}, std::size_t{1021}, std::size_t{65536}}) {
    const bool known = chunk != 1021;
    server.set_chunks({chunk, known});
    const auto rows = client.run("SELECT n, b FROM x").back().rows;
    const std::string& text = *rows[0][0];
    REQUIRE(text.size() == 300000u * 8u);
    CHECK(text.substr(0, 16) == "日😀x日😀x");
    CHECK(text.substr(text.size() - 8) == "日😀x");
    CHECK(rows[0][1]->size() == 6000000);
    CHECK(rows[0][1]->substr(0, 6) == "616263");
  }
  server.set_chunks({1, true});
  client.run("DELETE FROM x; INSERT INTO x VALUES (N'日😀', 0x00), (N'', 0x)");
  CHECK(client.table("SELECT n, b FROM x") == "日😀,00;,");
}

TEST_CASE("what a column cannot hold is refused with the server's number") {
  SqlServerDouble server;
  OdbcClient client(dsn(server));
  client.run(
      "CREATE TABLE x (t tinyint, i int, d decimal(5,2), m smallmoney, s nvarchar(3), w datetime, "
      "g uniqueidentifier)");
  const auto number = [&client](const std::string& column, const std::string& value) {
    try {
      client.run("INSERT INTO x (" + column + ") VALUES (" + value + ")");
      return 0;
    } catch (const OdbcFailure& failure) {
      return failure.records[0].native;
    }
  };
  CHECK(number("t", "256") == 220);
  CHECK(number("i", "2147483648") == 8115);
  CHECK(number("d", "1000") == 8115);
  CHECK(number("m", "214748.3648") == 8115);
  CHECK(number("s", "N'four'") == 2628);
  CHECK(number("w", "'1752-12-31'") == 242);
  CHECK(number("w", "'yesterday'") == 241);
  CHECK(number("i", "'four'") == 245);
  CHECK(number("d", "'four'") == 8114);
  CHECK(number("g", "'four'") == 8169);
  CHECK(client.value("SELECT COUNT(*) FROM x") == "0");
}

TEST_CASE("expressions keep exact types") {
  SqlServerDouble server;
  OdbcClient client(dsn(server));
  CHECK(client.value("SELECT CAST(1 AS decimal(10,2)) / 3") == "0.3333333333333");
  CHECK(client.value("SELECT CAST(0.1 AS decimal(3,1)) + CAST(0.02 AS decimal(4,2))") == "0.12");
  CHECK(client.value("SELECT 7 / 2") == "3");
  CHECK(client.value("SELECT CAST(9 AS money) * 3") == "27.0000");
  CHECK(client.value("SELECT CONVERT(varchar(22), 0x00000027000007580003, 1)") ==
        "0x00000027000007580003");
  CHECK(client.value("SELECT CONVERT(binary(10), '0x00000027000007580003', 1)") ==
        "00000027000007580003");
  CHECK(client.value("SELECT DATEADD(month, 1, CAST('2024-01-31' AS date))") == "2024-02-29");
  CHECK(client.value("SELECT DATEDIFF(minute, '2024-01-01T00:00:00', '2024-01-02T00:01:00')") ==
        "1441");
  CHECK(client.value("SELECT LEN(N'ab  ') + DATALENGTH(N'ab  ')") == "10");
  CHECK(
      client.value(
          "SELECT CONVERT(nvarchar(40), CAST('2024-02-29T01:02:03.1234567' AS datetime2), 126)") ==
      "2024-02-29T01:02:03.1234567");
}

}  // namespace
}  // namespace headgate::test
