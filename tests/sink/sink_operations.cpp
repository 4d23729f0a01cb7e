#include "sink_operations.hpp"

#include <chrono>
#include <memory>

#include "base/check.hpp"

namespace headgate::sink_test {
namespace {

struct PlainType {
  const char* name;
  std::uint32_t oid;
};

PlainType plain_type_of(TypeFamily family) {
  switch (family) {
    case TypeFamily::kBoolean:
      return {"boolean", 16};
    case TypeFamily::kInteger:
      return {"integer", 23};
    case TypeFamily::kFloat:
      return {"double precision", 701};
    case TypeFamily::kNumeric:
      return {"numeric", 1700};
    case TypeFamily::kBytes:
      return {"bytea", 17};
    case TypeFamily::kDate:
      return {"date", 1082};
    case TypeFamily::kTime:
      return {"time without time zone", 1083};
    case TypeFamily::kTimestamp:
      return {"timestamp without time zone", 1114};
    case TypeFamily::kTimestampTz:
      return {"timestamp with time zone", 1184};
    case TypeFamily::kUuid:
      return {"uuid", 2950};
    case TypeFamily::kJson:
      return {"jsonb", 3802};
    case TypeFamily::kText:
    case TypeFamily::kOther:
      return {"text", 25};
  }
  HEADGATE_CHECK(false, "every family has its plain type");
}

}  // namespace

SinkConfigPtr make_table(const TableName& name, const std::vector<TestColumn>& columns,
                         std::vector<std::size_t> key, OnConflict on_conflict) {
  SinkConfig config;
  config.name = "mirror";
  config.database = "business";
  config.on_conflict = on_conflict;
  config.output.name = name;
  for (const TestColumn& column : columns) {
    const PlainType type = plain_type_of(column.family);
    Column& added = config.output.columns.emplace_back();
    added.name = column.name;
    added.family = column.family;
    added.nullable = column.nullable;
    added.native_type = type.name;
    added.type_oid = type.oid;
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

}  // namespace headgate::sink_test
