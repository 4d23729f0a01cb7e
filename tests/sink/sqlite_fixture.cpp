#include "sqlite_fixture.hpp"

#include <stdlib.h>
#include <filesystem>
#include <utility>

#include <catch2/catch.hpp>

#include "db/sqlite/statement.hpp"

namespace headgate::sink::sqlite::test {

// In memory where there is such a place: every connect() syncs, and hundreds of them add up.
Folder::Folder()
    : path_((std::filesystem::exists("/dev/shm") ? "/dev/shm" : "/tmp") +
            std::string("/headgate-sqlite-XXXXXX")) {
  REQUIRE(mkdtemp(path_.data()) != nullptr);
}

Folder::~Folder() {
  std::filesystem::remove_all(path_);
}

SinkConfigPtr make_table(const std::string& name, const std::vector<TestColumn>& columns,
                         std::vector<std::size_t> key, OnConflict on_conflict) {
  return sink_test::make_table({"", name}, columns, std::move(key), on_conflict);
}

Fixture::Fixture(Tuning with) : tuning(with), sink(make_sink()) {
  sink->connect();
}

std::unique_ptr<SqliteSink> Fixture::make_sink() {
  auto log = std::make_shared<spdlog::logger>(
      "test", std::make_shared<spdlog::sinks::ostream_sink_st>(log_text_));
  return std::make_unique<SqliteSink>(Options{"shop", "business", path()}, clock, std::move(log),
                                      tuning);
}

void Fixture::write(const Operations& operations) {
  sink->begin();
  for (const SinkConfigPtr& table : operations.tables()) {
    sink->prepare_table(table, MissingTable::kCreate);
  }
  sink->write(operations.all());
}

void Fixture::apply(const Operations& operations, std::uint64_t lsn) {
  write(operations);
  sink->commit(mark_at(lsn));
}

void Fixture::execute(const std::string& sql) {
  if (!reader_) {
    reader_.emplace(path());
  }
  reader_->execute(sql);
}

std::vector<std::string> Fixture::rows(const std::string& select) {
  if (!reader_) {
    reader_.emplace(path());
  }
  // Statements do not say how many columns they have; the shell's trick is a sub-select.
  std::vector<std::string> columns;
  {
    db::sqlite::Statement names(
        *reader_, "SELECT name FROM pragma_table_info('headgate_test_rows')", "names");
    reader_->execute("CREATE TEMP VIEW headgate_test_rows AS " + select);
    db::sqlite::Rows found = names.rows();
    while (found.next()) {
      columns.push_back("quote(" + db::sqlite::quote_identifier(found.text(0)) + ")");
    }
  }
  std::string list;
  for (const std::string& column : columns) {
    list += (list.empty() ? "" : " || '|' || ") + column;
  }
  std::vector<std::string> result;
  {
    db::sqlite::Statement query(*reader_, "SELECT " + list + " FROM temp.headgate_test_rows",
                                "query");
    db::sqlite::Rows found = query.rows();
    while (found.next()) {
      result.emplace_back(found.text(0));
    }
  }
  reader_->execute("DROP VIEW temp.headgate_test_rows");
  return result;
}

std::string Fixture::value(const std::string& select) {
  const auto found = rows(select);
  REQUIRE(found.size() == 1);
  return found.front();
}

std::vector<std::string> Fixture::table(const std::string& name) {
  return rows("SELECT * FROM main." + db::sqlite::quote_identifier(name) + " ORDER BY 1");
}

}  // namespace headgate::sink::sqlite::test
