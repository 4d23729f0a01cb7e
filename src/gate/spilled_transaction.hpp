// A transaction whose changes are partly on disk: sorted runs of them, and how they come back in
// order.

#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/transaction.hpp"
#include "gate/spill.hpp"

namespace headgate {

// The same transaction, before its first change.
Transaction without_changes(const Transaction& transaction);

// A transaction's changes with the ordinals under which they came, one per change.
struct UnorderedChanges {
  Transaction transaction;
  std::vector<std::uint64_t> ordinals;
};

// Written under the gate's lock; read, once it has left, by whoever has it. Not thread-safe.
class SpilledTransaction {
 public:
  // Moves `changes` into `file`, as one sorted run; what is left of them is empty.
  void spill(const std::shared_ptr<SpillFile>& file, UnorderedChanges& changes);

  // What has come since, in memory. REQUIRES: no spill() follows.
  void finish(UnorderedChanges rest);

  // The next of its changes in the order of their ordinals, equal ones in the order in which they
  // came, numbered from 0: at least one, until they take `bytes_max` of memory. The first call
  // returns Portion::kFirst (or kWhole), the last kLast; nothing afterwards. REQUIRES: finish().
  std::optional<Transaction> next_portion(std::size_t bytes_max);

  std::uint64_t changes() const { return changes_; }

 private:
  struct Run {
    std::shared_ptr<const SpillFile> file;
    std::uint64_t from;
    std::uint64_t to;
  };

  // The next change of a run that is being read.
  struct Head {
    SpillReader reader;
    std::uint64_t ordinal = 0;
    std::string record;
    bool ended = false;

    void advance();
  };

  void begin_reading();
  Head* least();
  void add_next(Head& head, Transaction& portion);

  std::vector<TableSchemaPtr> tables_;  // by the number that records have of them
  std::map<const TableSchema*, std::uint32_t> table_numbers_;
  std::vector<Run> runs_;  // in the order in which they came
  std::uint64_t changes_ = 0;

  std::optional<UnorderedChanges> rest_;
  std::vector<std::size_t> rest_order_;
  std::size_t rest_at_ = 0;
  std::vector<Head> heads_;
  bool reading_ = false;
  bool ended_ = false;
  std::uint64_t next_ordinal_ = 0;
};

}  // namespace headgate
