// The gate beside its model, over transactions of one to a hundred thousand rows: tables that come
// late and are read at their own pace, stopped anywhere, clocks that tie and jump, hardly any
// memory.

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <random>

#include <catch2/catch.hpp>

#include "gate/transaction_buffer.hpp"
#include "gate_fixture.hpp"
#include "gate_model.hpp"

namespace headgate::gate_test {
namespace {

unsigned seeds(unsigned few, unsigned many) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr unsigned kSlower = 4;
#else
  constexpr unsigned kSlower = 1;
#endif
  return (std::getenv("HEADGATE_TEST_FULL") == nullptr ? few : many) / kSlower;
}

// Both of its times jump on their own, the one that nobody sets never back.
class JumpingClock final : public Clock {
 public:
  TimePoint now() const override { return now_; }
  WallTime wall_now() const override { return wall_; }
  void pass(Duration by) { now_ += by; }
  void set_wall(WallTime time) { wall_ = time; }

 private:
  TimePoint now_{std::chrono::hours(1)};
  WallTime wall_ = at_second(0);
};

struct Shape {
  std::size_t huge = 0;      // transactions of up to kHugeMax rows
  std::size_t small = 40;    // of one to seven
  std::size_t middling = 3;  // of up to a thousand
  bool timed = false;
  bool spills = false;
  bool pushed = false;  // through on_complete
};

constexpr std::uint64_t kHugeMax = 100'000;

// A source, the gate, and the model, told the same.
class Trial {
 public:
  Trial(std::uint64_t seed, const Shape& shape)
      : random_(seed),
        shape_(shape),
        tables_(1 + pick(4)),
        space_(std::filesystem::temp_directory_path().string(), std::uint64_t{1} << 32),
        model_(chosen_options(), tables_),
        buffer_(clock_, first_names(), options_, shape.spills ? &space_ : nullptr) {
    commit_transactions();
    if (shape.pushed) {
      buffer_.set_on_complete([this](std::vector<ReleasedTransaction> released) {
        CHECK((released.size() >= options_.max_tx_count || options_.max_batch_bytes < kNoLimit));
        for (ReleasedTransaction& one : released) {
          pushed_.push_back(std::move(one));
        }
      });
    }
  }

  void run() {
    while (!is_read()) {
      step();
      check_memory();
      if (shape_.pushed) {
        take_pushed();
      } else if (pick(3) == 0) {
        take();
      }
    }
    read_all_marks();
    take();
    CHECK(model_.pending() == 0);
    CHECK(buffer_.is_empty());
    // Under the strict gate every transaction left in one piece, and what is on disk went with it.
    if (!shape_.timed) {
      CHECK(released_ == committed_);
    }
    CHECK(space_.used() == 0);
    CHECK(rows_released_ == rows_committed_);
  }

  std::uint64_t spilled() const { return spilled_; }

 private:
  static constexpr std::size_t kNoLimit = std::size_t{1} << 40;

  struct SourceRow {
    std::string id;
    std::uint64_t commit_lsn;
    WallTime commit_time;
    std::uint64_t ordinal;
    std::string text;
  };
  struct SourceTable {
    TableSchemaPtr schema;
    std::vector<SourceRow> rows{};  // in commit order, any order within a transaction
    std::size_t next = 0;
    std::uint64_t begins_at = 0;  // its first row comes behind this commit
    bool known = true;            // to the gate
  };

  std::uint64_t pick(std::uint64_t below) { return random_() % below; }
  // From 1 to `most`, each order of magnitude as often as the others.
  std::uint64_t of_any_size(std::uint64_t most) {
    const double exponent =
        std::uniform_real_distribution(0.0, std::log(static_cast<double>(most) + 1))(random_);
    return std::clamp<std::uint64_t>(static_cast<std::uint64_t>(std::exp(exponent)), 1, most);
  }
  WallTime any_time() { return at_second(static_cast<std::int64_t>(pick(7)) - 3); }

  const GateOptions& chosen_options() {
    options_.mode = shape_.timed ? GateMode::kTimed : GateMode::kStrict;
    options_.max_wait_time = std::chrono::seconds(1 + pick(5));
    options_.poll_interval = std::chrono::milliseconds(500 * (1 + pick(4)));
    options_.max_tx_count = shape_.pushed ? 1 + pick(5) : std::size_t{1} << 30;
    options_.max_batch_bytes = shape_.pushed && pick(2) == 0 ? 1000 + pick(100'000) : kNoLimit;
    options_.memory_bytes_max = shape_.spills ? 400'000 + pick(1'000'000) : kNoLimit;
    return options_;
  }

  std::set<TableName> first_names() {
    std::set<TableName> names;
    for (std::size_t i = 0; i < tables_; ++i) {
      source_.push_back({schema("t" + std::to_string(i))});
      names.insert(source_.back().schema->name);
    }
    return names;
  }

  // Ids wrap after three, commit times tie and jump, LSNs have gaps. Huge ones stand anywhere.
  void commit_transactions() {
    std::vector<std::uint64_t> sizes;
    for (std::size_t i = 0; i < shape_.small; ++i) {
      sizes.push_back(1 + pick(7));
    }
    for (std::size_t i = 0; i < shape_.middling; ++i) {
      sizes.push_back(of_any_size(1000));
    }
    for (std::size_t i = 0; i < shape_.huge; ++i) {
      sizes.push_back(pick(4) == 0 ? kHugeMax : kHugeMax / of_any_size(10));
    }
    std::shuffle(sizes.begin(), sizes.end(), random_);
    // Time lets go what it likes, so that a table which comes later would come too late.
    const std::size_t late_from = shape_.timed || pick(2) == 0 ? sizes.size() : pick(sizes.size());
    const bool without_lsn = shape_.timed && pick(4) == 0;
    std::uint64_t lsn = 0;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      if (i == late_from) {
        source_.push_back({schema("late"), {}, 0, lsn, false});
      }
      lsn += 1 + pick(5);
      commit(i, sizes[i], without_lsn ? 0 : lsn);
    }
    last_lsn_ = lsn + 1;
  }

  // Ordinals are those of the source's order; now and then several rows have the same.
  void commit(std::size_t number, std::uint64_t size, std::uint64_t lsn) {
    const std::string id = std::to_string(lsn == 0 ? number : number % 3);
    const WallTime time = any_time();
    const std::uint64_t tied = pick(4) == 0 ? 1 + pick(4) : 1;
    for (std::uint64_t i = 0; i < size; ++i) {
      SourceTable& table = source_[pick(source_.size())];
      table.rows.push_back({id, lsn, time, i / tied, text_of(number, i)});
    }
    ++committed_;
    rows_committed_ += size;
  }
  static std::string text_of(std::size_t number, std::uint64_t i) {
    return std::to_string(number) + "." + std::to_string(i) + std::string(i % 41, '.');
  }

  void step() {
    clock_.pass(std::chrono::milliseconds(pick(4) == 0 ? pick(2000) : 0));
    if (pick(3) == 0) {
      clock_.set_wall(any_time() + std::chrono::milliseconds(pick(3000)));
    }
    switch (pick(8)) {
      case 0:
        mark_all();
        return;
      case 1:
        see_time();
        return;
      default:
        read_some(pick(source_.size()));
    }
  }

  // Reads one table further, to anywhere, and says so, or not yet.
  void read_some(std::size_t place) {
    SourceTable& table = source_[place];
    if (!table.known) {
      introduce(place);
      return;
    }
    std::uint64_t count =
        std::min<std::uint64_t>(of_any_size(6000), table.rows.size() - table.next);
    while (count > 0) {
      const std::uint64_t span = std::min<std::uint64_t>(count, of_any_size(300));
      add(place, span);
      count -= span;
    }
    if (pick(3) > 0) {
      mark(place, model_.read_to(place) + pick(readable_to(place) - model_.read_to(place) + 1));
    }
  }

  void add(std::size_t place, std::uint64_t count) {
    SourceTable& table = source_[place];
    std::vector<std::array<Value, 1>> values(count);
    std::vector<Change> changes(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      const SourceRow& row = table.rows[table.next++];
      values[i] = {Value::text(row.text)};
      Change& change = changes[i];
      change.table = table.schema.get();
      change.transaction_id = row.id;
      change.lsn = row.commit_lsn == 0 ? LSN{} : lsn(row.commit_lsn);
      change.commit_time = row.commit_time;
      change.ordinal = row.ordinal;
      change.data = values[i];
      model_.add(row.id, row.commit_lsn, row.commit_time, clock_.now(),
                 {place, row.ordinal, row.text});
    }
    REQUIRE(buffer_.add(table.schema, changes));
  }

  // The last commit of which nothing in the table is unread.
  std::uint64_t readable_to(std::size_t place) const {
    const SourceTable& table = source_[place];
    if (table.next == table.rows.size()) {
      return last_lsn_;
    }
    const std::uint64_t next = table.rows[table.next].commit_lsn;
    return next == 0 ? 0 : next - 1;
  }

  void mark(std::size_t place, std::uint64_t to) {
    make_sure_of_the_late_one(to);
    const WallTime time = any_time();
    model_.mark(place, to);
    model_.see_time(place, time);
    buffer_.update_table_max_commit_time(source_[place].schema->name, time, lsn(to));
  }

  // A single stream that has all tables in it.
  void mark_all() {
    std::uint64_t to = last_lsn_;
    for (std::size_t place = 0; place < source_.size(); ++place) {
      to = std::min(to, source_[place].known ? readable_to(place) : source_[place].begins_at);
    }
    const WallTime time = any_time();
    for (std::size_t place = 0; place < source_.size(); ++place) {
      if (source_[place].known) {
        model_.mark(place, std::max(model_.read_to(place), to));
        model_.see_time(place, time);
      }
    }
    buffer_.mark_all(time, lsn(to));
  }

  void see_time() {
    const std::size_t place = pick(source_.size());
    if (source_[place].known) {
      const WallTime time = any_time();
      model_.see_time(place, time);
      buffer_.update_table_max_commit_time(source_[place].schema->name, time);
    }
  }

  // A further table has to be there before anything leaves that may have rows in it.
  void introduce(std::size_t place) {
    SourceTable& table = source_[place];
    table.known = true;
    model_.add_table(table.begins_at);
    buffer_.add_table(table.schema->name, lsn(table.begins_at));
  }
  void make_sure_of_the_late_one(std::uint64_t to) {
    for (std::size_t place = 0; place < source_.size(); ++place) {
      if (!source_[place].known && to > source_[place].begins_at) {
        introduce(place);
      }
    }
  }

  bool is_read() const {
    return std::all_of(source_.begin(), source_.end(),
                       [&](const SourceTable& table) { return table.next == table.rows.size(); });
  }
  void read_all_marks() {
    for (std::size_t place = 0; place < source_.size(); ++place) {
      mark(place, last_lsn_);
    }
    if (shape_.timed) {
      clock_.pass(std::chrono::hours(1));  // what has no LSN only time lets go
    }
  }

  // ---- what comes out

  void take() {
    const auto expected = model_.take_ready(clock_.now(), clock_.wall_now());
    expected_.insert(expected_.end(), std::make_move_iterator(expected.begin()),
                     std::make_move_iterator(expected.end()));
    for (ReleasedTransaction& one : buffer_.get_complete_transactions()) {
      pushed_.push_back(std::move(one));
    }
    compare(expected_.size());
    REQUIRE(pushed_.empty());
    REQUIRE(expected_.empty());
    REQUIRE(buffer_.size() == model_.pending());
  }

  // At the limit everything that is ready goes, and less than a limit's worth stays.
  void take_pushed() {
    const auto expected = model_.take_ready(clock_.now(), clock_.wall_now());
    expected_.insert(expected_.end(), std::make_move_iterator(expected.begin()),
                     std::make_move_iterator(expected.end()));
    REQUIRE(pushed_.size() <= expected_.size());
    compare(pushed_.size());
    REQUIRE(expected_.size() < options_.max_tx_count);
  }

  void compare(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      REQUIRE(i < pushed_.size());
      compare(pushed_[i], expected_[i]);
      ++released_;
    }
    pushed_.erase(pushed_.begin(), pushed_.begin() + static_cast<std::ptrdiff_t>(count));
    expected_.erase(expected_.begin(), expected_.begin() + static_cast<std::ptrdiff_t>(count));
  }

  void compare(ReleasedTransaction& got, const ModelRelease& wanted) {
    REQUIRE(std::string(got.transaction.id()) == wanted.transaction.id);
    REQUIRE(got.transaction.commit_lsn() ==
            (wanted.transaction.commit_lsn == 0 ? LSN{} : lsn(wanted.transaction.commit_lsn)));
    REQUIRE(got.transaction.commit_time() == wanted.transaction.commit_time);
    REQUIRE(got.whole == wanted.whole);
    const bool at_limit = got.reason == DeliveryReason::kBatchLimit;
    REQUIRE((at_limit ? DeliveryReason::kCommitTime : got.reason) == wanted.reason);
    const std::vector<ModelRow> rows = wanted.transaction.in_order();
    std::size_t at = 0;
    if (!got.spilled) {
      compare(got.transaction, rows, at);
    } else {
      ++spilled_;
      while (const auto portion = got.spilled->next_portion(1 + pick(2'000'000))) {
        REQUIRE(begins(portion->portion) == (at == 0));
        compare(*portion, rows, at);
        REQUIRE(ends(portion->portion) == (at == rows.size()));
      }
    }
    REQUIRE(at == rows.size());
    rows_released_ += at;
  }

  void compare(const Transaction& got, const std::vector<ModelRow>& rows, std::size_t& at) const {
    bool same = got.changes().size() <= rows.size() - at;
    for (const Change& change : got.changes()) {
      same = same && change.ordinal == at && change.data[0].bytes() == rows[at].text &&
             change.table == source_[rows[at].table].schema.get();
      ++at;
    }
    REQUIRE(same);
  }

  // What is pending fits in the gate's share of memory, or it is on disk, where a row takes at
  // least kOnDisk.
  void check_memory() const {
    constexpr std::uint64_t kOnDisk = 20;
    constexpr std::uint64_t kInMemory = sizeof(Change) + sizeof(Value);
    if (shape_.spills) {
      const std::uint64_t on_disk = space_.used() / kOnDisk;
      const std::uint64_t pending = model_.rows_pending();
      REQUIRE((pending - std::min(pending, on_disk)) * kInMemory <= options_.memory_bytes_max);
    }
  }

  std::mt19937_64 random_;
  Shape shape_;
  std::size_t tables_;
  std::vector<SourceTable> source_;
  JumpingClock clock_;
  GateOptions options_;
  SpillSpace space_;
  GateModel model_;
  TransactionBuffer buffer_;

  std::uint64_t committed_ = 0;
  std::uint64_t last_lsn_ = 0;
  std::vector<ReleasedTransaction> pushed_;
  std::vector<ModelRelease> expected_;
  std::uint64_t released_ = 0;
  std::uint64_t rows_committed_ = 0;
  std::uint64_t rows_released_ = 0;
  std::uint64_t spilled_ = 0;
};

TEST_CASE("huge transactions among small ones leave whole, in order, and wait within the memory") {
  const auto seed = GENERATE(range(0U, seeds(8, 200)));
  CAPTURE(seed);
  Shape shape;
  shape.huge = 1 + seed % 2;
  shape.spills = seed % 4 != 3;
  shape.pushed = seed % 3 == 2;
  Trial trial(seed, shape);
  trial.run();
  CHECK((trial.spilled() > 0 || !shape.spills));
}

TEST_CASE("whatever the interleaving, the strict gate does what a list would") {
  const auto seed = GENERATE(range(0U, seeds(200, 10'000)));
  CAPTURE(seed);
  Shape shape;
  shape.spills = seed % 2 == 0;
  shape.pushed = seed % 3 == 0;
  Trial(seed, shape).run();
}

// Also without LSNs, and with what comes behind a transaction that time has torn.
TEST_CASE(
    "the timed gate lets go what time says, for the reason it says, and vouches for no more") {
  const auto seed = GENERATE(range(0U, seeds(300, 10'000)));
  CAPTURE(seed);
  Shape shape;
  shape.timed = true;
  shape.middling = 1;
  Trial(seed, shape).run();
}

}  // namespace
}  // namespace headgate::gate_test
