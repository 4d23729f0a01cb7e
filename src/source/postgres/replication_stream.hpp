// One walsender session: the copy-both stream of START_REPLICATION and the status we send back.
//
// Envelope: PostgreSQL documentation, "Streaming Replication Protocol". XLogData and keep-alives
// come in; standby status updates go out.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "db/pq/connection.hpp"
#include "source/postgres/flood_gauge.hpp"
#include "source/postgres/replication_message.hpp"
#include "source/postgres/timeline.hpp"

namespace headgate::source::postgres {

// What IDENTIFY_SYSTEM says.
struct SystemIdentity {
  // Before the rest was asked: where it is false, the timeline is that of a server that writes, and
  // not the one that a standby was on just before its promotion.
  bool in_recovery = false;
  std::string system_id;
  std::uint32_t timeline = 0;
  std::uint64_t flushed_lsn = 0;
  std::string database;
};

// A slot with the snapshot that goes with it.
struct CreatedSlot {
  std::uint64_t consistent_point = 0;
  std::string snapshot;  // lives until the next command on this stream; empty when not exported
};

// Not thread-safe. Errors as pq::Connection's.
class ReplicationStream {
 public:
  explicit ReplicationStream(const pq::ConnectOptions& options);

  SystemIdentity identify();

  // Where the timelines before `timeline` were left for their successors.
  std::vector<TimelineSwitch> timeline_history(std::uint32_t timeline);

  enum class SlotLife { kPermanent, kTemporary };
  enum class Snapshot { kNone, kExport };

  // Creates a pgoutput slot. The server waits for every transaction that runs now to end; after
  // `patience`, or soon after `stop`, this gives up with Error{kTransient} and leaves no slot
  // behind.
  CreatedSlot create_slot(const std::string& name, SlotLife life, Snapshot snapshot,
                          Duration patience, const std::stop_token& stop);

  // The same without waiting: asks, and then returns the slot once it is made. cancel() takes it
  // back.
  void ask_for_slot(const std::string& name, SlotLife life, Snapshot snapshot);
  std::optional<CreatedSlot> made_slot(TimePoint deadline, const Clock& clock);
  void cancel() noexcept { connection_.cancel(); }

  // `options` is the parenthesised list for pgoutput.
  void start(const std::string& slot, std::uint64_t from, const std::string& options);

  // What has arrived already, or nothing. Never waits. Its memory is valid until the next
  // receive().
  std::optional<ReplicationMessage> receive();

  // Waits until something has arrived, be it a part of a message, or `deadline`; false then. While
  // messages flood in, as only a backlog makes them, waits a moment for more of them.
  bool wait(TimePoint deadline, const Clock& clock);

  enum class Reply { kNotNeeded, kWanted };

  // Received up to, and durable in every sink up to. With kWanted the server answers at once.
  void send_status(std::uint64_t received, std::uint64_t durable, WallTime now,
                   Reply reply = Reply::kNotNeeded);

  // Ends the stream and waits until the server has let go of the slot; what it has sent since is
  // lost. False where that was not seen by `deadline`. Only the destructor may follow.
  bool finish(TimePoint deadline, const Clock& clock);

  // Ends the stream politely, so that the server lets go of the slot at once. Never throws.
  void end() noexcept;

 private:
  struct BufferDeleter {
    void operator()(char* buffer) const { PQfreemem(buffer); }
  };

  bool arrives(Duration patience) const;

  pq::Connection connection_;
  std::string making_slot_;  // its name, for errors
  FloodGauge flood_;
  std::unique_ptr<char, BufferDeleter> buffer_;
};

}  // namespace headgate::source::postgres
