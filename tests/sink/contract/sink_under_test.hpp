// What the contract suite must be able to do with the database behind a driver.
//
// The cases in this folder are written once against pipeline/sink_driver.hpp. A program that runs
// them for a driver links sink_contract and defines make_sink_under_test().

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/sink_driver.hpp"
#include "sink_operations.hpp"

namespace headgate::sink_contract {

using sink_test::Strings;

// What a table that is made beforehand has beside its columns and its key.
struct TableRules {
  // Each of these columns alone is unique. Where the database can, it checks so only at the end of
  // a transaction, once it is told to.
  std::vector<std::string> unique{};

  // `column` holds a key of `table`. Checked at the end as well.
  struct Reference {
    std::string column;
    SinkConfigPtr table;
  };
  std::vector<Reference> references{};
};

// What not every database can do, or not every driver does yet; who says no says why there.
enum class Feature {
  kKeylessChanges,      // deletes and updates of rows of a table without a key
  kCaseSensitiveNames,  // `Orders` and `orders` are two tables
};

// One empty database, seen by a connection of the test's own. All drivers are of the same pipeline
// and sink. Used by one thread.
class SinkUnderTest {
 public:
  virtual ~SinkUnderTest() = default;

  virtual bool has(Feature feature) const = 0;

  // Not connected yet; any number may live at a time, none longer than this object.
  virtual std::unique_ptr<SinkDriver> make_driver() = 0;
  // One whose commits are durable only after flush(); null where there is no such mode.
  virtual std::unique_ptr<SinkDriver> make_lazy_driver() = 0;

  // Returns once no driver that was disconnected holds the session lock any more: a server needs a
  // moment to notice. REQUIRES: none is connected.
  virtual void wait_until_free() {}

  // --- What another connection sees ---

  // All rows of the table, columns in the order of `table`, joined by `|`, NULL as `~`, bytes as
  // `\x…`, booleans as `t` and `f`; sorted. Nothing when there is no table.
  virtual Strings rows(const SinkConfig& table) = 0;
  virtual bool has_table(const SinkConfig& table) = 0;
  // The row of headgate_positions; nothing when it is not there.
  virtual std::optional<SinkPosition> position_row() = 0;

  // --- What another program does ---

  virtual void create_table(const SinkConfig& table, const TableRules& rules = {}) = 0;
  virtual void drop_table(const SinkConfig& table) = 0;
  // Values as text.
  virtual void add_row(const SinkConfig& table, const Strings& values) = 0;

  // As another process that takes the sink over. False when the row is locked against it.
  virtual bool raise_epoch() = 0;
  virtual void set_position(const Position& position) = 0;
  virtual void delete_position_row() = 0;
  // Raises the epoch within the driver's own transaction, whenever it inserts into `table`: what no
  // lock can keep out.
  virtual void raise_epoch_with_rows_of(const SinkConfig& table) = 0;

  // --- Faults ---

  // The database refuses every write of a position, until it no longer does. An epoch can be
  // raised.
  virtual void refuse_positions(bool refuse) = 0;

  // Every driver loses its connection at once, and the database knows it. False: nothing is there
  // that could be lost.
  virtual bool cut_connections() = 0;

  // The next commit gets no answer: it was `done`, or was not. False: cannot happen to this
  // database, or not so. Ends with heal().
  virtual bool lose_commit_reply(bool done) = 0;
  virtual void heal() {}
};

// Defined by the program.
std::unique_ptr<SinkUnderTest> make_sink_under_test();

}  // namespace headgate::sink_contract
