#include "sqlite_fixture.hpp"

#include <stdlib.h>
#include <filesystem>

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
  SinkConfig config;
  config.name = "mirror";
  config.database = "business";
  config.on_conflict = on_conflict;
  config.output.name.table = name;
  for (const TestColumn& column : columns) {
    Column& added = config.output.columns.emplace_back();
    added.name = column.name;
    added.family = column.family;
    added.nullable = column.nullable;
    added.native_type = "its type";
  }
  for (const std::size_t column : key) {
    config.output.columns[column].identity = true;
  }
  config.output.key = std::move(key);
  return std::make_shared<const SinkConfig>(std::move(config));
}

Row Operations::store(const Cells& cells) {
  const auto row = arena_.array<Value>(cells.size());
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const std::string_view bytes = arena_.copy(cells[i].bytes);
    row[i] = {bytes.data(), static_cast<std::uint32_t>(bytes.size()), cells[i].kind};
  }
  return row;
}

Operations& Operations::add(const SinkConfigPtr& table, Sink operation) {
  tables_.insert(table);
  operation.config = table.get();
  operations_.push_back(operation);
  return *this;
}

Operations& Operations::insert(const SinkConfigPtr& table, const Cells& row) {
  return add(table, {nullptr, Operation::kInsert, store(row), {}, false});
}

Operations& Operations::update(const SinkConfigPtr& table, const Cells& row, const Cells& before) {
  return add(table, {nullptr, Operation::kUpdateAfter, store(row), store(before), false});
}

Operations& Operations::erase(const SinkConfigPtr& table, const Cells& row, bool key_only) {
  return add(table, {nullptr, Operation::kDelete, store(row), {}, key_only});
}

Operations& Operations::truncate(const SinkConfigPtr& table) {
  return add(table, {nullptr, Operation::kTruncate, {}, {}, false});
}

Position position_at(std::uint64_t lsn) {
  return {LSN::from_postgres(lsn), History{"postgres:7311:1"}};
}

CommitMark mark_at(std::uint64_t lsn) {
  return {position_at(lsn), WallTime{std::chrono::seconds(1782907000)}};
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
