#include "pipeline/sink_driver.hpp"

#include <fmt/format.h>

#include "base/error.hpp"

namespace headgate {
namespace {

[[noreturn]] void refuse(const TableName& table) {
  throw Error{ErrorKind::kOperator,
              fmt::format("table {}: this kind of sink takes no copy in chunks", table.to_string()),
              "set snapshot.method to bulk"};
}

}  // namespace

bool SinkDriver::has_table(const TableName& table) {
  refuse(table);
}

TableName SinkDriver::staging_name(const SinkConfig& table) const {
  refuse(table.output.name);
}

void SinkDriver::check_copy_target(const SinkConfig& table, ExistingRows) {
  refuse(table.output.name);
}

void SinkDriver::drop_staging(const TableName& staging) {
  refuse(staging);
}

void SinkDriver::copy_chunk(std::span<const Sink> operations, bool) {
  write(operations);
}

void SinkDriver::take_staging(std::span<const StagedTable> tables) {
  if (!tables.empty()) {
    refuse(tables.front().table->output.name);
  }
}

std::string staging_table(const std::string& pipeline, const std::string& sink,
                          const TableSchema& source) {
  // FNV-1a: the same in every version of headgate, since a copy may go on with another one.
  std::uint32_t hash = 2166136261U;
  const std::string name = source.source_id == 0 ? source.name.to_string() : std::string{};
  for (const char c : pipeline + "/" + sink + "/" + name) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  }
  return fmt::format("headgate_copy_{:08x}_{}", hash, source.source_id);
}

}  // namespace headgate
