// What the cases of the contract suite share: a database, a connected driver, and words for both.

#pragma once

#include <memory>
#include <string>

#include <catch2/catch.hpp>

#include "sink_under_test.hpp"

namespace headgate::sink_contract {

using sink_test::Cell;
using sink_test::Cells;
using sink_test::error_of;
using sink_test::kind_of_error;
using sink_test::kNull;
using sink_test::kUnsent;
using sink_test::mark_at;
using sink_test::Operations;
using sink_test::position_at;
using sink_test::TestColumn;
using TF = TypeFamily;

// A table of the schema that all cases write to.
SinkConfigPtr table_of(const std::string& name, const std::vector<TestColumn>& columns,
                       std::vector<std::size_t> key,
                       OnConflict on_conflict = OnConflict::kOverwrite);

// id (key), state, note.
const SinkConfigPtr& orders();
// id (key), name.
const SinkConfigPtr& items();
// Two columns, n and what, and no key.
const SinkConfigPtr& journal();

// connect(), again as long as a session that was closed just now, of whichever driver, still holds
// the lock.
SinkPosition connect_when_free(SinkDriver& driver);

class ContractCase {
 public:
  ContractCase();

  // begin, prepare, write; with commit.
  void write(const Operations& operations);
  void apply(const Operations& operations, std::uint64_t lsn);
  // The same with a first copy.
  void copy(const Operations& operations, std::uint64_t lsn,
            ExistingRows existing = ExistingRows::kRefuse);

  // As ApplyStep does after an error: what the driver knows is gone, the database tells. Its own
  // earlier session must not be taken for another process.
  SinkPosition reconnect();

  Strings rows(const SinkConfigPtr& table) { return sink->rows(*table); }
  // Of the position row, which must be there.
  Position position();
  std::uint64_t epoch();

  std::unique_ptr<SinkUnderTest> sink;
  std::unique_ptr<SinkDriver> driver;  // connected
};

}  // namespace headgate::sink_contract
