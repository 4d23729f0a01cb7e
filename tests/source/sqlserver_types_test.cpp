#include <string>

#include <catch2/catch.hpp>

#include "source/sqlserver/change_key.hpp"
#include "source/sqlserver/type_map.hpp"
#include "source/sqlserver/update_mask.hpp"

namespace headgate::source::sqlserver {
namespace {

std::string postgres_type(const std::string& name, std::int32_t length = 0, int precision = 0,
                          int scale = 0) {
  return map_type({name, length, precision, scale, false}).postgres_type;
}

TEST_CASE("types become those of a PostgreSQL sink that hold every value, else text") {
  CHECK(postgres_type("bit") == "boolean");
  CHECK(postgres_type("tinyint") == "smallint");
  CHECK(postgres_type("decimal", 17, 38, 10) == "numeric(38,10)");
  CHECK(postgres_type("money") == "numeric(19,4)");
  CHECK(postgres_type("datetime2", 8, 27, 6) == "timestamp(6) without time zone");
  CHECK(postgres_type("datetime2", 8, 27, 7) == "text");
  CHECK(postgres_type("time", 5, 16, 7) == "text");
  CHECK(postgres_type("datetimeoffset", 10, 34, 7) == "text");
  CHECK(postgres_type("nvarchar", 100) == "character varying(50)");
  CHECK(postgres_type("varchar", 100) == "character varying(100)");
  CHECK(postgres_type("nvarchar", -1) == "text");
  CHECK(postgres_type("timestamp", 8) == "bytea");
  CHECK(postgres_type("what comes next") == "text");
}

TEST_CASE("what the driver would not carry whole is converted by the server") {
  CHECK(map_type({"varchar", 50, 0, 0, false}).expression == "CONVERT(nvarchar(50), {})");
  CHECK(map_type({"varchar", 8000, 0, 0, false}).expression == "CONVERT(nvarchar(max), {})");
  CHECK(map_type({"sql_variant", 8016, 0, 0, false}).expression == "CONVERT(nvarchar(max), {})");
  CHECK(map_type({"nvarchar", 50, 0, 0, false}).expression == "{}");
  CHECK(map_type({"hierarchyid", 892, 0, 0, true}).fetch == odbc::FetchAs::kBytes);
}

TEST_CASE("printed values are brought into the form that sinks expect") {
  const TypeMapping number = map_type({"decimal", 9, 10, 2, false});
  CHECK(normalised(number, ".50") == "0.50");
  CHECK(normalised(number, "-.50") == "-0.50");
  CHECK(normalised(number, "10.50") == "10.50");
  const TypeMapping bit = map_type({"bit", 1, 1, 0, false});
  CHECK(normalised(bit, "0") == "f");
  CHECK(normalised(bit, "1") == "t");
}

// The lowest ordinals stand in the last byte: with nine columns an insert has 0x01FF, and an update
// of ordinals 4 and 9 has 0x0108 (sqlserver-cdc 1.6).
TEST_CASE("an update mask is counted from its end") {
  const std::string insert("\x01\xff", 2);
  const std::string update("\x01\x08", 2);
  for (std::size_t ordinal = 1; ordinal <= 9; ++ordinal) {
    CHECK(is_changed(insert, ordinal));
    CHECK(is_changed(update, ordinal) == (ordinal == 4 || ordinal == 9));
  }
  CHECK_FALSE(is_changed(insert, 10));
  CHECK_FALSE(is_changed(insert, 17));
  CHECK_FALSE(is_changed("", 1));
  CHECK_FALSE(is_changed(insert, 0));
}

TEST_CASE("the LSN behind another one carries over its bytes") {
  CHECK(increment(LSN::parse("00000027:00000758:0003")) == LSN::parse("00000027:00000758:0004"));
  CHECK(increment(LSN::parse("00000027:00000758:ffff")) == LSN::parse("00000027:00000759:0000"));
  CHECK(increment(LSN::parse("00000027:ffffffff:ffff")) == LSN::parse("00000028:00000000:0000"));
}

TEST_CASE("changes stand in the order of the change tables' index, over all tables") {
  const ChangeKey first{LSN::parse("00000027:00000758:0003"), 1,
                        LSN::parse("00000027:00000758:0002"), 2};
  ChangeKey later = first;
  later.operation = 4;
  CHECK(first < later);
  later = first;
  later.sequence = LSN::parse("00000027:00000758:0001");
  later.command_id = 2;  // counts before the sequence value, which is not monotonic
  CHECK(first < later);
  later = first;
  later.commit_lsn = LSN::parse("00000027:00000758:0004");
  later.command_id = 0;
  CHECK(first < later);
}

}  // namespace
}  // namespace headgate::source::sqlserver
