// A queue between two steps, bounded by the cost of what is in it.
//
// The steps only use the calls that never block; the threads that drive them in production wait
// here between two steps, and the simulator never waits at all.

#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include "base/clock.hpp"
#include "base/deliberate_break.hpp"

namespace headgate {

// One producer, one consumer; all calls are safe from both threads.
template <typename T>
class BoundedQueue {
 public:
  // `items_max` and `cost_max` bound what waits. One item dearer than `cost_max` is still accepted
  // by an empty queue: it must get through somehow.
  BoundedQueue(std::size_t items_max, std::size_t cost_max)
      : items_max_(items_max), cost_max_(cost_max) {}

  // False, and `item` untouched, when there is no room.
  bool try_push(T& item, std::size_t cost) {
    {
      const std::lock_guard lock(mutex_);
      if (!has_room(cost)) {
        cost_refused_ = cost;
        return false;
      }
      cost_refused_ = 0;
      items_.emplace_back(std::move(item), cost);
      cost_ += cost;
    }
    changed_.notify_all();
    return true;
  }

  std::optional<T> try_pop() {
    return try_pop_if([](const T&, std::size_t) { return true; });
  }

  // Looks at the next item's cost and decides under the lock: nothing is taken unless `accept` says
  // so. Used to fill a batch up to its own bound.
  template <typename Accept>
  std::optional<T> try_pop_if(Accept accept) {
    std::optional<T> item;
    bool worth_waking = false;
    {
      const std::lock_guard lock(mutex_);
      if (items_.empty() || !accept(items_.front().first, items_.front().second)) {
        return item;
      }
      item.emplace(std::move(items_.front().first));
      cost_ -= items_.front().second;
      items_.pop_front();
      worth_waking = is_worth_waking();
    }
    if (worth_waking) {
      changed_.notify_all();
    }
    return item;
  }

  // The consumer's thread only: returns when something is there, at `deadline`, or at a wake().
  void wait_not_empty(TimePoint deadline) {
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, deadline,
                        [&] { return !items_.empty() || wakes_ != consumer_wakes_; });
    consumer_wakes_ = wakes_;
  }

  // The producer's thread only: returns when the item that was refused last fits, and a quarter of
  // either bound is free, at `deadline`, or at a wake().
  void wait_not_full(TimePoint deadline) {
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, deadline,
                        [&] { return is_worth_waking() || wakes_ != producer_wakes_; });
    producer_wakes_ = wakes_;
  }

  // The consumer's thread only: returns at `deadline` or at a wake(), whatever waits here.
  void wait_wake(TimePoint deadline) {
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, deadline, [&] { return wakes_ != consumer_wakes_; });
    consumer_wakes_ = wakes_;
  }

  // Ends one wait of each side, so that its thread looks around (at shutdown, say): the present
  // one, or the next if it comes a moment too early for it.
  void wake() {
    {
      const std::lock_guard lock(mutex_);
      ++wakes_;
    }
    changed_.notify_all();
  }

  bool empty() const {
    const std::lock_guard lock(mutex_);
    return items_.empty();
  }

  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return items_.size();
  }

  std::size_t cost() const {
    const std::lock_guard lock(mutex_);
    return cost_;
  }

 private:
  // A switch of threads for each item costs more than the items.
  bool is_worth_waking() const {
    const std::size_t places = std::max<std::size_t>(1, items_max_ / 4);
    return items_.empty() || (items_.size() + places <= items_max_ &&
                              has_room(std::max(cost_refused_, cost_max_ / 4)));
  }

  bool has_room(std::size_t cost) const {
    return broken(Break::kNoBackPressure) || items_.empty() ||
           (items_.size() < items_max_ && cost_ + cost <= cost_max_);
  }

  // Constant after construction.
  std::size_t items_max_;
  std::size_t cost_max_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::deque<std::pair<T, std::size_t>> items_;
  std::size_t cost_ = 0;
  std::size_t cost_refused_ = 0;  // by the last try_push, 0 if it found room
  std::size_t wakes_ = 0;
  // How many of wakes_ either side has seen.
  std::size_t consumer_wakes_ = 0;
  std::size_t producer_wakes_ = 0;
};

}  // namespace headgate
