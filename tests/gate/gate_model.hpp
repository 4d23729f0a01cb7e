// The gate as a list: what it was told, kept as told, and everything decided anew from all of it.
//
// Slow, without a lock, a disk or an index, and so short that it can be seen to be right.

#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "base/clock.hpp"
#include "core/batch_context.hpp"
#include "gate/transaction_buffer.hpp"

namespace headgate::gate_test {

struct ModelRow {
  std::size_t table;
  std::uint64_t ordinal;
  std::string text;
};

struct ModelTransaction {
  std::uint64_t commit_lsn;  // 0: the source has none
  WallTime commit_time;
  std::string id;
  TimePoint first_seen;
  std::vector<ModelRow> rows;  // as they came

  // Changes leave in the order of their ordinals, equal ones as they came.
  std::vector<ModelRow> in_order() const {
    std::vector<ModelRow> sorted = rows;
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const ModelRow& a, const ModelRow& b) { return a.ordinal < b.ordinal; });
    return sorted;
  }
};

struct ModelRelease {
  ModelTransaction transaction;
  DeliveryReason reason;
  bool whole;
};

class GateModel {
 public:
  GateModel(const GateOptions& options, std::size_t tables) : options_(options), marks_(tables) {}

  void add_table(std::uint64_t captured_from) { marks_.push_back({captured_from, std::nullopt}); }

  void add(const std::string& id, std::uint64_t commit_lsn, WallTime commit_time, TimePoint now,
           ModelRow row) {
    for (ModelTransaction& one : pending_) {
      const bool same_time = commit_lsn != 0 || one.commit_time == commit_time;
      if (one.id == id && one.commit_lsn == commit_lsn && same_time) {
        one.rows.push_back(std::move(row));
        return;
      }
    }
    pending_.push_back({commit_lsn, commit_time, id, now, {std::move(row)}});
  }

  void mark(std::size_t table, std::uint64_t read_to) { marks_[table].read_to = read_to; }
  void see_time(std::size_t table, WallTime time) {
    auto& seen = marks_[table].time;
    seen = seen ? std::max(*seen, time) : time;
  }

  // What leaves now: nothing overtakes an earlier commit.
  std::vector<ModelRelease> take_ready(TimePoint now, WallTime wall_now) {
    std::sort(pending_.begin(), pending_.end(),
              [](const auto& a, const auto& b) { return place_of(a) < place_of(b); });
    std::vector<ModelRelease> released;
    while (!pending_.empty()) {
      const std::optional<DeliveryReason> reason = ready(pending_.front(), now, wall_now);
      if (!reason) {
        break;
      }
      const std::uint64_t lsn = pending_.front().commit_lsn;
      const bool whole = lsn != 0 && is_read(lsn) && lsn > released_to_;
      released_to_ = std::max(released_to_, lsn);
      released.push_back({std::move(pending_.front()), *reason, whole});
      pending_.erase(pending_.begin());
    }
    return released;
  }

  std::size_t pending() const { return pending_.size(); }
  std::size_t rows_pending() const {
    std::size_t rows = 0;
    for (const ModelTransaction& one : pending_) {
      rows += one.rows.size();
    }
    return rows;
  }
  std::uint64_t read_to(std::size_t table) const { return marks_[table].read_to; }

  std::uint64_t all_read_to() const {
    return std::min_element(marks_.begin(), marks_.end(),
                            [](const Mark& a, const Mark& b) { return a.read_to < b.read_to; })
        ->read_to;
  }

 private:
  struct Mark {
    std::uint64_t read_to = 0;
    std::optional<WallTime> time{};
  };

  static std::tuple<std::uint64_t, WallTime, std::string> place_of(const ModelTransaction& one) {
    return {one.commit_lsn, one.commit_lsn == 0 ? one.commit_time : WallTime{}, one.id};
  }

  bool is_read(std::uint64_t lsn) const { return lsn <= all_read_to(); }

  std::optional<DeliveryReason> ready(const ModelTransaction& one, TimePoint now,
                                      WallTime wall_now) const {
    if (one.commit_lsn != 0 && is_read(one.commit_lsn)) {
      return DeliveryReason::kCommitTime;
    }
    if (options_.mode == GateMode::kStrict) {
      return std::nullopt;
    }
    const bool times_passed = std::all_of(marks_.begin(), marks_.end(), [&](const Mark& mark) {
      return mark.time && *mark.time > one.commit_time;
    });
    if (times_passed) {
      return DeliveryReason::kCommitTime;
    }
    if (wall_now - one.commit_time > 2 * options_.poll_interval) {
      return DeliveryReason::kPollInterval;
    }
    if (now - one.first_seen >= options_.max_wait_time) {
      return DeliveryReason::kTimeout;
    }
    return std::nullopt;
  }

  GateOptions options_;
  std::vector<Mark> marks_;
  std::vector<ModelTransaction> pending_;  // in any order
  std::uint64_t released_to_ = 0;
};

}  // namespace headgate::gate_test
