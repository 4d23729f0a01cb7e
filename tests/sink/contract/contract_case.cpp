#include "contract_case.hpp"

#include <chrono>

namespace headgate::sink_contract {

SinkConfigPtr table_of(const std::string& name, const std::vector<TestColumn>& columns,
                       std::vector<std::size_t> key, OnConflict on_conflict) {
  return sink_test::make_table({"live", name}, columns, std::move(key), on_conflict);
}

const SinkConfigPtr& orders() {
  static const SinkConfigPtr table =
      table_of("orders", {{"id", TF::kInteger}, {"state"}, {"note"}}, {0});
  return table;
}

const SinkConfigPtr& items() {
  static const SinkConfigPtr table = table_of("items", {{"id", TF::kInteger}, {"name"}}, {0});
  return table;
}

const SinkConfigPtr& journal() {
  static const SinkConfigPtr table = table_of("journal", {{"n", TF::kInteger}, {"what"}}, {});
  return table;
}

namespace {

template <typename MayPass>
SinkPosition connect_while(SinkDriver& driver, MayPass may_pass) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (true) {
    try {
      return driver.connect();
    } catch (const Error& error) {
      if (!may_pass(error.kind()) || std::chrono::steady_clock::now() > deadline) {
        throw;
      }
    }
  }
}

}  // namespace

SinkPosition connect_when_free(SinkDriver& driver) {
  return connect_while(driver, [](ErrorKind kind) {
    return kind == ErrorKind::kLocked || kind == ErrorKind::kTransient;
  });
}

ContractCase::ContractCase() : sink(make_sink_under_test()), driver(sink->make_driver()) {
  connect_when_free(*driver);
}

void ContractCase::write(const Operations& operations) {
  driver->begin();
  for (const SinkConfigPtr& table : operations.tables()) {
    driver->prepare_table(table, MissingTable::kCreate);
  }
  if (!operations.all().empty()) {
    driver->write(operations.all());
  }
}

void ContractCase::apply(const Operations& operations, std::uint64_t lsn) {
  write(operations);
  driver->commit(mark_at(lsn));
}

void ContractCase::copy(const Operations& operations, std::uint64_t lsn, ExistingRows existing) {
  driver->begin();
  for (const SinkConfigPtr& table : operations.tables()) {
    driver->prepare_table(table, MissingTable::kCreate);
    driver->prepare_copy(*table, existing);
  }
  driver->copy(operations.all());
  driver->commit(mark_at(lsn));
}

SinkPosition ContractCase::reconnect() {
  driver->rollback();
  driver->disconnect();
  return connect_while(*driver, [](ErrorKind kind) { return kind == ErrorKind::kTransient; });
}

Position ContractCase::position() {
  const auto row = sink->position_row();
  REQUIRE(row.has_value());
  return row->position;
}

std::uint64_t ContractCase::epoch() {
  const auto row = sink->position_row();
  REQUIRE(row.has_value());
  return row->epoch;
}

}  // namespace headgate::sink_contract
