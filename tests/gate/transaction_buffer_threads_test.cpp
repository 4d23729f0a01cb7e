// Several threads at once; worth most under the thread sanitizer.

#include <atomic>
#include <thread>

#include <catch2/catch.hpp>

#include "gate/transaction_buffer.hpp"
#include "gate_fixture.hpp"

namespace headgate::gate_test {
namespace {

constexpr std::uint64_t kTransactions = 400;
constexpr std::size_t kTables = 3;

// Every transaction has one row in each table; each table is read by a thread of its own.
class Readers {
 public:
  Readers() {
    for (std::size_t i = 0; i < kTables; ++i) {
      tables_.push_back(schema("t" + std::to_string(i)));
    }
  }

  std::set<TableName> names() const {
    std::set<TableName> names;
    for (const auto& table : tables_) {
      names.insert(table->name);
    }
    return names;
  }

  // False when a change was refused.
  bool read_all(TransactionBuffer& buffer) const {
    std::atomic<bool> accepted{true};
    {
      std::vector<std::jthread> threads;
      for (const TableSchemaPtr& table : tables_) {
        threads.emplace_back([&buffer, &accepted, table] {
          for (std::uint64_t commit = 1; commit <= kTransactions; ++commit) {
            OneRow row(table, std::to_string(commit % 7), lsn(commit), at_second(0), "x");
            accepted = row.add_to(buffer) && accepted;
            buffer.update_table_max_commit_time(table->name, at_second(0), lsn(commit));
          }
        });
      }
    }
    return accepted;
  }

 private:
  std::vector<TableSchemaPtr> tables_;
};

class InOrder {
 public:
  void take(const std::vector<ReleasedTransaction>& released) {
    for (const ReleasedTransaction& one : released) {
      good_ = good_ && one.whole && one.transaction.changes().size() == kTables &&
              one.transaction.commit_lsn() == lsn(++last_);
    }
  }
  bool is_complete() const { return good_ && last_ == kTransactions; }

 private:
  bool good_ = true;
  std::uint64_t last_ = 0;
};

TEST_CASE("tables read by their own threads come out whole and in order for the one who asks") {
  const ManualClock clock;
  const Readers readers;
  TransactionBuffer buffer(clock, readers.names());
  InOrder seen;
  {
    std::jthread taker([&](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        seen.take(buffer.get_complete_transactions());
        std::this_thread::yield();
      }
    });
    CHECK(readers.read_all(buffer));
  }
  seen.take(buffer.get_complete_transactions());
  CHECK(seen.is_complete());
}

// Whoever marks the slowest table delivers; two such threads must not deliver side by side.
TEST_CASE("tables read by their own threads are pushed whole, in order, one call at a time") {
  const ManualClock clock;
  const Readers readers;
  GateOptions options;
  options.max_tx_count = 1;
  TransactionBuffer buffer(clock, readers.names(), options);
  InOrder seen;
  std::atomic<int> inside{0};
  std::atomic<bool> alone{true};
  buffer.set_on_complete([&](const std::vector<ReleasedTransaction>& released) {
    alone = ++inside == 1 && alone;
    seen.take(released);
    --inside;
  });
  CHECK(readers.read_all(buffer));
  CHECK(seen.is_complete());
  CHECK(alone);
}

TEST_CASE("closing beside the readers tears nothing") {
  const ManualClock clock;
  const Readers readers;
  TransactionBuffer buffer(clock, readers.names());
  {
    std::jthread closer([&] {
      while (buffer.size() < 20) {
        std::this_thread::yield();
      }
      buffer.close();
    });
    readers.read_all(buffer);
  }
  for (const ReleasedTransaction& one : buffer.get_complete_transactions()) {
    CHECK(one.whole);
    CHECK(one.transaction.changes().size() == kTables);
  }
}

}  // namespace
}  // namespace headgate::gate_test
