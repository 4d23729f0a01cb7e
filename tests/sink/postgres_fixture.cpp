#include "postgres_fixture.hpp"

#include <atomic>
#include <chrono>

#include <fmt/format.h>

namespace headgate::test {
namespace {

pq::ConnectOptions options_for(const std::string& conninfo) {
  pq::ConnectOptions options;
  options.conninfo = conninfo;
  options.role = "test";
  options.settings = pq::text_format_settings();
  return options;
}

}  // namespace

SinkConfigPtr make_table(const std::string& name, std::vector<ColumnSpec> columns,
                         std::vector<std::size_t> key) {
  auto config = std::make_shared<SinkConfig>();
  config->name = name;
  config->output.name = {"public", name};
  for (const ColumnSpec& spec : columns) {
    Column column;
    column.name = spec.name;
    column.native_type = spec.type;
    column.type_oid = spec.oid;
    column.family = spec.oid == 25 ? TypeFamily::kText : TypeFamily::kOther;
    config->output.columns.push_back(column);
  }
  for (const std::size_t column : key) {
    config->output.columns[column].nullable = false;
  }
  config->output.key = std::move(key);
  return config;
}

Batch& Batch::insert(const SinkConfigPtr& table, std::vector<Cell> row) {
  return add(table, Operation::kInsert, row, {});
}

Batch& Batch::update(const SinkConfigPtr& table, std::vector<Cell> row, std::vector<Cell> before) {
  return add(table, Operation::kUpdateAfter, row, before);
}

Batch& Batch::erase(const SinkConfigPtr& table, std::vector<Cell> row) {
  return add(table, Operation::kDelete, row, {});
}

Batch& Batch::truncate(const SinkConfigPtr& table) {
  return add(table, Operation::kTruncate, {}, {});
}

Batch& Batch::add(const SinkConfigPtr& table, Operation operation, const std::vector<Cell>& row,
                  const std::vector<Cell>& before) {
  tables_.push_back(table);
  operations_.push_back({table.get(), operation, keep(row), keep(before), false});
  return *this;
}

Row Batch::keep(const std::vector<Cell>& cells) {
  std::vector<Value>& row = rows_.emplace_back();
  for (const Cell& cell : cells) {
    row.push_back(cell.value);
  }
  return row;
}

demo::ThrowawayCluster& PostgresFixture::cluster() {
  static demo::ThrowawayCluster instance([] {
    demo::ClusterOptions options;
    options.fsync = false;
    options.settings = {{"wal_writer_delay", "10s"}, {"wal_writer_flush_after", "0"}};
    return options;
  }());
  return instance;
}

PostgresFixture::PostgresFixture() {
  static std::atomic<int> databases{0};
  database_ = fmt::format("case_{}", ++databases);
  pq::Connection(options_for(cluster().conninfo()))
      .exec("CREATE DATABASE " + database_, "create a database");
  reader_ = std::make_unique<pq::Connection>(options_for(conninfo()));
}

std::unique_ptr<sink::postgres::PostgresSink> PostgresFixture::make_sink(
    const std::string& settings) const {
  sink::postgres::Options options;
  options.pipeline = "shop";
  options.name = "report";
  options.conninfo = conninfo() + settings;
  auto log = make_logger("test");
  log->set_level(spdlog::level::off);
  return std::make_unique<sink::postgres::PostgresSink>(options, log);
}

void PostgresFixture::write(SinkDriver& sink, const Batch& batch) {
  sink.begin();
  for (const SinkConfigPtr& table : batch.tables()) {
    sink.prepare_table(table, MissingTable::kCreate);
  }
  sink.write(batch.operations());
}

void PostgresFixture::apply(SinkDriver& sink, const Batch& batch, std::uint64_t lsn) {
  write(sink, batch);
  sink.commit({position_at(lsn), WallTime{std::chrono::seconds(1782907000)}});
}

void PostgresFixture::execute(const std::string& sql) {
  reader_->exec(sql, "execute");
}

std::string PostgresFixture::rows(const std::string& select) {
  const pq::Result found = reader_->exec(select, "select");
  std::string text;
  for (int row = 0; row < found.rows(); ++row) {
    text += row > 0 ? " " : "";
    for (int column = 0; column < found.columns(); ++column) {
      text += column > 0 ? "|" : "";
      text += found.is_null(row, column) ? "-" : found.text(row, column);
    }
  }
  return text;
}

SinkPosition connect_when_free(SinkDriver& sink) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (true) {
    try {
      return sink.connect();
    } catch (const Error& error) {
      const bool passes =
          error.kind() == ErrorKind::kLocked || error.kind() == ErrorKind::kTransient;
      if (!passes || std::chrono::steady_clock::now() > deadline) {
        throw;
      }
    }
  }
}

Position position_at(std::uint64_t lsn) {
  return {LSN::from_postgres(lsn), History{"postgres:7311:1:5"}};
}

}  // namespace headgate::test
