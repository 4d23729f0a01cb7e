#include "sink/sqlite/table_registry.hpp"

#include <utility>

#include <fmt/format.h>

namespace headgate::sink::sqlite {
namespace {

constexpr const char* kWhat = "use headgate_tables";

}  // namespace

void TableRegistry::create(db::sqlite::Connection& connection) {
  connection.execute(R"(
    CREATE TABLE IF NOT EXISTS headgate_tables (
      pipeline    TEXT NOT NULL,
      sink        TEXT NOT NULL,
      table_id    TEXT NOT NULL,  -- the source's id of the table, which outlives its name
      source      TEXT NOT NULL,  -- its name there
      description TEXT NOT NULL,  -- JSON
      PRIMARY KEY (pipeline, sink, table_id)
    ) STRICT;)");
}

TableRegistry::TableRegistry(db::sqlite::Connection& connection, std::string pipeline,
                             std::string sink)
    : pipeline_(std::move(pipeline)),
      sink_(std::move(sink)),
      read_(connection,
            "SELECT description FROM main.headgate_tables WHERE pipeline = ?1 AND sink = ?2 "
            "ORDER BY table_id",
            kWhat),
      write_(connection,
             "INSERT INTO main.headgate_tables (pipeline, sink, table_id, source, description) "
             "VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (pipeline, sink, table_id) DO UPDATE "
             "SET source = ?4, description = ?5",
             kWhat),
      remove_(connection,
              "DELETE FROM main.headgate_tables WHERE pipeline = ?1 AND sink = ?2 "
              "AND table_id = ?3",
              kWhat),
      clear_(connection, "DELETE FROM main.headgate_tables WHERE pipeline = ?1 AND sink = ?2",
             kWhat) {}

TableRecords TableRegistry::read() {
  read_.bind_text(1, pipeline_);
  read_.bind_text(2, sink_);
  TableRecords records;
  db::sqlite::Rows rows = read_.rows();
  while (rows.next()) {
    records.push_back(parse_record(rows.text(0)));
  }
  return records;
}

void TableRegistry::clear() {
  clear_.bind_text(1, pipeline_);
  clear_.bind_text(2, sink_);
  clear_.run();
}

void TableRegistry::remove(const TableRecord& record) {
  remove_.bind_text(1, pipeline_);
  remove_.bind_text(2, sink_);
  remove_.bind_text_copy(3, record_id(record.source));
  remove_.run();
}

void TableRegistry::write(const TableRecord& record) {
  write_.bind_text(1, pipeline_);
  write_.bind_text(2, sink_);
  write_.bind_text_copy(3, record_id(record.source));
  write_.bind_text_copy(4, record.source.name.to_string());
  write_.bind_text_copy(5, to_json(record));
  write_.run();
}

std::string forget_statement(const std::string& pipeline, const std::string& sink,
                             const TableRecord& record) {
  const auto literal = [](const std::string& text) {
    std::string quoted = "'";
    for (const char c : text) {
      quoted += c == '\'' ? "''" : std::string(1, c);
    }
    return quoted + "'";
  };
  return fmt::format(
      "DELETE FROM headgate_tables WHERE pipeline = {} AND sink = {} AND table_id = {}",
      literal(pipeline), literal(sink), literal(record_id(record.source)));
}

}  // namespace headgate::sink::sqlite
