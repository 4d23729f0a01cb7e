// `headgate demo --source sqlserver`, as users run it: with FreeTDS's driver as it is registered.

#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

#include <catch2/catch.hpp>

#include "base/error.hpp"
#include "demo/order_schema.hpp"
#include "support/daemon.hpp"
#include "support/sqlite_file.hpp"
#include "support/temp_dir.hpp"

using namespace headgate;
using namespace headgate::test;

namespace {

int count(const std::string& text, std::string_view words) {
  int found = 0;
  for (std::size_t at = text.find(words); at != std::string::npos;
       at = text.find(words, at + words.size())) {
    ++found;
  }
  return found;
}

std::string line_with(const std::string& text, const std::string& words) {
  const std::size_t at = text.find(words);
  if (at == std::string::npos) {
    return {};
  }
  const std::size_t begin = text.rfind('\n', at) + 1;
  return text.substr(begin, text.find('\n', at) - begin);
}

// The number behind `words`.
long number_after(const std::string& text, const std::string& words) {
  const std::size_t at = text.find(words);
  return at == std::string::npos ? -1 : std::atol(text.c_str() + at + words.size());
}

}  // namespace

TEST_CASE("the SQL Server demo ends with an equal mirror, and calls itself an emulation always") {
  const TempDir folder;
  const std::string mirror = folder.path("kept.db");
  const demo::RunResult result =
      test::headgate({"demo", "--source", "sqlserver", "--seconds", "8", "--keep", mirror});
  INFO(result.out << result.err);
  REQUIRE(result.status);
  CHECK(result.status->code == kExitOk);
  CHECK(count(result.out, "This is an EMULATION and no SQL Server") == 2);  // at begin and end
  CHECK(count(result.out, "starting an EMULATION of SQL Server") == 1);
  // Nothing names the source without the word.
  CHECK(count(result.out, "source") == count(result.out, "EMULATED source"));
  CHECK(count(result.out, "EMULATED source") >= 11);  // its place, 8 s, the counts, the comparison
  CHECK(line_with(result.out, "are equal, row by row").starts_with("EMULATED source and mirror"));
  CHECK(count(result.out, " equal\n") == 7);  // tables
  CHECK(number_after(result.out, "a reader of the mirror added up ") >= 20);

  // The comparison speaks of rows that are there, and of transactions of several kinds.
  CHECK(number_after(line_with(result.out, " transactions committed"), "EMULATED source: ") >= 50);
  SqliteFile file(mirror);
  for (const std::string& table : demo::order_tables()) {
    CAPTURE(table);
    const std::string rows = file.value("SELECT count(*) FROM \"" + table + "\"");
    CHECK(std::stol(rows) > 0);
    CHECK(std::stol(rows) == number_after(result.out, "  " + table + " "));
  }
  CHECK(file.query(demo::order_invariant_sqlite()).empty());
  CHECK(std::stol(file.value("SELECT count(DISTINCT action) FROM \"shop.audit_log\"")) == 4);
  CHECK(file.value("SELECT count(*) FROM \"shop.price_labels\" WHERE sku NOT LIKE '%-0'") != "0");
  CHECK(file.value("SELECT count(*) FROM \"shop.order_lines\" WHERE line_no > 1000") != "0");
}

TEST_CASE("without FreeTDS's driver the SQL Server demo names the package to install") {
  const TempDir folder;
  std::ofstream(folder.path("odbcinst.ini")) << "[Other]\nDriver=libother.so\n";
  ::setenv("ODBCSYSINI", folder.path("").c_str(), 1);
  const demo::RunResult result =
      test::headgate({"demo", "--source", "sqlserver", "--seconds", "1"});
  ::unsetenv("ODBCSYSINI");
  INFO(result.out << result.err);
  REQUIRE(result.status);
  CHECK(result.status->code == kExitOperator);
  CHECK(count(result.err, "apt-get install tdsodbc") == 1);
}
