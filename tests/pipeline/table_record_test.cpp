#include "pipeline/table_record.hpp"

#include <string>

#include <catch2/catch.hpp>

#include "altered_table.hpp"
#include "base/error.hpp"

namespace headgate::pipeline_test {
namespace {

std::string with(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

TEST_CASE("a record comes back from its JSON as it was") {
  SinkConfig config = described(
      {column("id", 1), column("\"quoted\\ \n\t", 4, "numeric(10,2)"),
       column("größe 😀 ' \x7f", 4294967295, "shop.\"Order State\"[]"), column("", 0, "text")},
      {2, 0});
  config.source = {"Shop \"A\"", "items.all"};
  config.output.columns[1].nullable = false;
  config.output.columns[2].identity = true;
  config.output.columns[2].type_oid = 4294967295;
  const TableRecord record = record_of(config);
  CHECK(parse_record(to_json(record)) == record);
  CHECK(record.source.name == config.source);
  CHECK(record.target == config.output.name);
}

TEST_CASE("a paused table's record comes back, and one that is not paused says nothing of it") {
  TableRecord record = record_of(described({column("id", 1)}));
  CHECK(to_json(record).find("paused") == std::string::npos);
  record.paused = {"column n \"added\"", "drop it", "0/1A"};
  CHECK(parse_record(to_json(record)) == record);
  record.paused->refused = "table items has no column n";
  CHECK(parse_record(to_json(record)) == record);
  record.copy.emplace();
  CHECK(parse_record(to_json(record)) == record);
}

TEST_CASE("every family of types comes back") {
  for (int family = 0; family <= static_cast<int>(TypeFamily::kOther); ++family) {
    SinkConfig config = described({column("id", 1)});
    config.output.columns[0].family = static_cast<TypeFamily>(family);
    CHECK(parse_record(to_json(record_of(config))).source.columns[0].family ==
          static_cast<TypeFamily>(family));
  }
}

TEST_CASE("the values of older rows are no part of a record") {
  SinkConfig config = described({column("id", 1)});
  config.output.columns[0].fill = {ColumnFill::Kind::kText, "secret"};
  CHECK(to_json(record_of(config)).find("secret") == std::string::npos);
  CHECK(record_of(config).source.columns[0].fill.kind == ColumnFill::Kind::kNull);
}

TEST_CASE("a record goes by the source's id of the table, and by its name where there is none") {
  TableSchema source;
  source.name = {"shop", "items"};
  CHECK(record_id(source) == "name:shop.items");
  source.source_id = 7;
  CHECK(record_id(source) == "id:7");
}

// A person may have edited the row, or a newer version has written it.
TEST_CASE("what is no record is refused, and nothing else happens") {
  const std::string good = to_json(record_of(described({column("id", 1), column("b", 2)}, {1})));
  for (const std::string& bad :
       {std::string{}, std::string("null"), std::string("[]"), std::string("{}"),
        with(good, "[1]", "[2]"), with(good, "[1]", "[-1]"), with(good, "[1]", "1"),
        with(good, "\"id\":1", "\"id\":-1"), with(good, "\"id\":1", "\"id\":4294967296"),
        with(good, "\"name\":\"b\"", "\"name\":7"), with(good, "\"columns\"", "\"column\"")}) {
    INFO(bad);
    try {
      parse_record(bad);
      FAIL("accepted");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kOperator);
    }
  }
  for (std::size_t length = 0; length < good.size(); ++length) {
    CHECK_THROWS_AS(parse_record(std::string_view(good).substr(0, length)), Error);
  }
}

}  // namespace
}  // namespace headgate::pipeline_test
