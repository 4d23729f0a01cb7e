// Transactions that the server sends while they are still in progress: kept aside until their end
// is known.
//
// Nothing of them may be seen before their commit: they may yet be rolled back, whole or in part.
// After a reconnect the server sends each of them again from its first segment.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string_view>

#include "gate/spill.hpp"
#include "source/postgres/pgoutput_decoder.hpp"

namespace headgate::source::postgres {

// One transaction's messages, in order.
class SpooledTransaction {
 public:
  explicit SpooledTransaction(SpillSpace& space) : file_(std::make_shared<SpillFile>(space)) {}

  // `message` as StreamedMessage::split() takes it.
  void add(std::string_view message);

  // A savepoint was rolled back: what belongs to it does not count.
  void abort(std::uint32_t subxid) { aborted_.insert(subxid); }

  // The next message that counts, as a transaction that is not streamed would have it; valid until
  // the next call. Nothing after the last one. REQUIRES: no add() follows.
  std::optional<std::string_view> next();

 private:
  std::shared_ptr<SpillFile> file_;
  std::optional<SpillReader> reader_;  // from the first next() on
  std::set<std::uint32_t> aborted_;
  std::string message_;
};

// All that are in progress. Not thread-safe. Throws Error{kOperator} for messages out of place, and
// what SpillFile throws.
class StreamSpool {
 public:
  // `space` must outlive the spool.
  explicit StreamSpool(SpillSpace& space) : space_(space) {}

  // The connection is new.
  void reset();

  // Between StreamStart and StreamStop, where messages go to add().
  bool in_segment() const { return current_ != nullptr; }

  void start(const StreamStartMessage& start);
  void add(std::string_view message);
  void stop();
  void abort(const StreamAbortMessage& abort);

  // Hands the transaction over; the spool forgets it.
  SpooledTransaction take(std::uint32_t xid);

  std::size_t transactions() const { return transactions_.size(); }

 private:
  SpillSpace& space_;
  std::map<std::uint32_t, SpooledTransaction> transactions_;
  SpooledTransaction* current_ = nullptr;
};

}  // namespace headgate::source::postgres
