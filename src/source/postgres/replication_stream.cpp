#include "source/postgres/replication_stream.hpp"

#include <poll.h>
#include <algorithm>
#include <charconv>
#include <thread>

#include <fmt/format.h>

#include "core/lsn.hpp"
#include "source/postgres/pgoutput_decoder.hpp"

namespace headgate::source::postgres {
namespace {

// While the server makes a slot, how often a stop is looked for.
constexpr Duration kStopLook = std::chrono::milliseconds(100);

// How long the server may take to give up what it was told to.
constexpr Duration kCancelPatience = std::chrono::seconds(5);

// A walsender hands over each row by a system call of its own, and waking us for it costs both
// sides more than decoding it. While messages flood in, this pause lets a heap of them gather; a
// longer one would let the sender's buffer fill up.
constexpr Duration kGulp = std::chrono::microseconds(500);

void put_integer(std::string& message, std::uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) {
    message.push_back(static_cast<char>(value >> shift & 0xFF));
  }
}

int milliseconds(Duration patience) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(patience);
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60000));
}

}  // namespace

ReplicationStream::ReplicationStream(const pq::ConnectOptions& options)
    : connection_([&] {
        pq::ConnectOptions replication = options;
        replication.replication = true;
        return replication;
      }()) {}

SystemIdentity ReplicationStream::identify() {
  SystemIdentity identity;
  identity.in_recovery =
      connection_.exec("SELECT pg_is_in_recovery()", "identify the source server").boolean(0, 0);
  const pq::Result answer = connection_.exec("IDENTIFY_SYSTEM", "identify the source server");
  identity.system_id = answer.text(0, 0);
  identity.timeline = static_cast<std::uint32_t>(answer.integer(0, 1));
  identity.flushed_lsn = LSN::parse(answer.value(0, 2)).to_postgres();
  identity.database = answer.text(0, 3);
  return identity;
}

std::vector<TimelineSwitch> ReplicationStream::timeline_history(std::uint32_t timeline) {
  if (timeline <= 1) {
    return {};  // the first one has no file
  }
  const pq::Result file =
      connection_.exec(fmt::format("TIMELINE_HISTORY {}", timeline), "read the timeline history");
  return parse_timeline_history(file.value(0, 1));
}

void ReplicationStream::ask_for_slot(const std::string& name, SlotLife life, Snapshot snapshot) {
  // The form without parentheses is understood by every version since 10.
  const std::string command =
      fmt::format("CREATE_REPLICATION_SLOT {}{} LOGICAL pgoutput {}", pq::quote_identifier(name),
                  life == SlotLife::kTemporary ? " TEMPORARY" : "",
                  snapshot == Snapshot::kExport ? "EXPORT_SNAPSHOT" : "NOEXPORT_SNAPSHOT");
  making_slot_ = name;
  if (PQsendQuery(connection_.get(), command.c_str()) != 1) {
    throw connection_.error(nullptr, "create replication slot " + name);
  }
}

std::optional<CreatedSlot> ReplicationStream::made_slot(TimePoint deadline, const Clock& clock) {
  while (PQisBusy(connection_.get()) != 0) {
    if (!wait(deadline, clock) && clock.now() >= deadline) {
      return std::nullopt;
    }
  }
  const pq::Result answer(PQgetResult(connection_.get()));
  while (const pq::Result rest{PQgetResult(connection_.get())}) {
  }
  connection_.expect(answer, {PGRES_TUPLES_OK}, "create replication slot " + making_slot_);
  return CreatedSlot{LSN::parse(answer.value(0, 1)).to_postgres(),
                     answer.is_null(0, 2) ? std::string{} : answer.text(0, 2)};
}

CreatedSlot ReplicationStream::create_slot(const std::string& name, SlotLife life,
                                           Snapshot snapshot, Duration patience,
                                           const std::stop_token& stop) {
  ask_for_slot(name, life, snapshot);
  const SystemClock clock;
  const TimePoint deadline = clock.now() + patience;
  while (!stop.stop_requested() && clock.now() < deadline) {
    if (const auto made = made_slot(std::min(deadline, clock.now() + kStopLook), clock)) {
      return *made;
    }
  }
  // Only hanging up would leave the walsender waiting, and its slot behind. Its answer is waited
  // for since the slot may have become ready at this very moment.
  connection_.cancel();
  try {
    if (const auto made = made_slot(clock.now() + kCancelPatience, clock)) {
      return *made;
    }
  } catch (const Error&) {
    if (connection_.lost()) {
      throw;
    }
  }
  throw Error{ErrorKind::kTransient,
              fmt::format("source: replication slot {} is not ready yet: it waits for transactions "
                          "that were open when it was asked for",
                          name),
              "end long or idle transactions (pg_stat_activity, oldest xact_start) and prepared "
              "ones (pg_prepared_xacts)"};
}

void ReplicationStream::start(const std::string& slot, std::uint64_t from,
                              const std::string& options) {
  connection_.copy_begin(
      fmt::format("START_REPLICATION SLOT {} LOGICAL {} ({})", pq::quote_identifier(slot),
                  LSN::from_postgres(from).to_string(), options),
      fmt::format("read replication slot {}", slot));
}

std::optional<ReplicationMessage> ReplicationStream::receive() {
  char* message = nullptr;
  const int size = PQgetCopyData(connection_.get(), &message, 1);
  buffer_.reset(message);
  if (size > 0) {
    flood_.count();
    return parse_replication_message({message, static_cast<std::size_t>(size)});
  }
  if (size == 0) {
    return std::nullopt;
  }
  const pq::Result result(PQgetResult(connection_.get()));
  if (result.get() != nullptr && result.status() == PGRES_FATAL_ERROR) {
    const Error error = connection_.error(result.get(), "read the replication stream");
    const char* sqlstate = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
    if (sqlstate != nullptr && std::string_view(sqlstate) == "58P01") {
      // A missing file, elsewhere a broken disk, is here a WAL segment that was removed.
      throw Error{ErrorKind::kPositionLost, error.what(), "see headgate check"};
    }
    throw error;
  }
  if (connection_.lost()) {
    throw connection_.error(nullptr, "read the replication stream");
  }
  throw Error{ErrorKind::kTransient, "source: the server ended the replication stream"};
}

bool ReplicationStream::arrives(Duration patience) const {
  pollfd waiting{connection_.socket(), POLLIN, 0};
  return ::poll(&waiting, 1, milliseconds(patience)) > 0;
}

bool ReplicationStream::wait(TimePoint deadline, const Clock& clock) {
  const TimePoint now = clock.now();
  if (flood_.floods(now) && now + kGulp < deadline && !arrives({})) {
    std::this_thread::sleep_for(kGulp);
  }
  const bool ready = arrives(deadline - clock.now());
  if (ready && PQconsumeInput(connection_.get()) != 1) {
    throw connection_.error(nullptr, "read the replication stream");
  }
  return ready;
}

void ReplicationStream::send_status(std::uint64_t received, std::uint64_t durable, WallTime now,
                                    Reply reply) {
  std::string message = "r";
  put_integer(message, std::max(received, durable));
  put_integer(message, durable);  // flush: what lets the slot discard its log
  put_integer(message, durable);  // apply
  put_integer(message, static_cast<std::uint64_t>(to_postgres_time(now)));
  message.push_back(reply == Reply::kWanted ? 1 : 0);
  if (PQputCopyData(connection_.get(), message.data(), static_cast<int>(message.size())) != 1 ||
      PQflush(connection_.get()) < 0) {
    throw connection_.error(nullptr, "send status to the source");
  }
}

bool ReplicationStream::finish(TimePoint deadline, const Clock& clock) {
  if (PQputCopyEnd(connection_.get(), nullptr) != 1 || PQflush(connection_.get()) < 0) {
    throw connection_.error(nullptr, "end the replication stream");
  }
  while (true) {
    char* message = nullptr;
    const int size = PQgetCopyData(connection_.get(), &message, 1);
    buffer_.reset(message);
    if (size < 0) {
      break;
    }
    if (size == 0 && !wait(deadline, clock) && clock.now() >= deadline) {
      return false;
    }
  }
  // The end of the copy, and that of the command; they come together.
  while (const pq::Result result{PQgetResult(connection_.get())}) {
    connection_.expect(result, {PGRES_COMMAND_OK}, "end the replication stream");
  }
  return true;
}

void ReplicationStream::end() noexcept {
  if (!connection_.lost() && PQputCopyEnd(connection_.get(), nullptr) == 1) {
    PQflush(connection_.get());
  }
}

}  // namespace headgate::source::postgres
