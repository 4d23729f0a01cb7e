#include "source/postgres/logical_capturer.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

namespace headgate::source::postgres {
namespace {

// Status at once would cost a round per batch; the server needs it for its slot only now and then.
constexpr Duration kStatusGap = std::chrono::milliseconds(500);

// A server that shuts down asks again as soon as it is answered; no need to keep pace with it.
constexpr Duration kReplyGap = std::chrono::milliseconds(100);

// A clean shutdown of the server waits until we have confirmed everything, for ever if need be. The
// sinks get this long to take the rest; then we hang up, and read it after the restart.
constexpr Duration kLeavingPatience = std::chrono::seconds(5);

// A server that waits for us to catch up (it is shutting down, say) asks with every keep-alive;
// this bounds how often the sinks are made to follow.
constexpr Duration kAskedAdvanceGap = std::chrono::milliseconds(200);

// How often the patience with a silent server doubles: from a minute to about an hour.
constexpr unsigned kSilencesMax = 6;

// While data keeps coming that completes nothing (a transaction of tables that are not captured),
// the clock is looked at this often.
constexpr int kMessagesPerLook = 1024;

// Of log, in bytes. A smaller backlog holds no transaction that the server would stream, unless its
// logical_decoding_work_mem is below the default.
constexpr std::uint64_t kBacklog = std::uint64_t{64} << 20U;

// A server that has nothing to send ends a stream at once.
constexpr Duration kEndPatience = std::chrono::seconds(5);

}  // namespace

LogicalCapturer::LogicalCapturer(Session& session, const Clock& clock, Logger log)
    : session_(session),
      clock_(clock),
      log_(std::move(log)),
      assembler_([this](const RelationMessage& relation,
                        std::uint32_t xid) { return schema_of(relation, xid); },
                 clock, session.options().portion_bytes, session.options().local_changes_only),
      spill_space_(session.options().spill_folder, session.options().spill_bytes_max),
      spool_(spill_space_),
      schema_watch_(session, session.options().schema_watch_interval, log_) {}

void LogicalCapturer::open(const StartPoint& start) {
  stream_.reset();
  std::unique_ptr<ReplicationStream> stream = session_.open_stream();
  const Position& resume = start.resume;
  const SystemIdentity server = stream->identify();
  session_.verify(server, resume);
  assembler_.reset(session_.history());
  spool_.reset();
  replay_.reset();
  schema_watch_.reset();

  const Session::StreamContent content = session_.look_at_tables();
  binary_ = content.binary;

  // Reading starts behind `resume` wherever the slot stands: the server skips what lies before.
  const std::uint64_t from = resume.lsn.to_postgres();
  backlog_end_ = server.flushed_lsn > from + kBacklog ? server.flushed_lsn : 0;
  streaming_ = backlog_end_ == 0 && can_stream();
  stream->start(session_.options().slot, from, stream_options(content.publications));
  stream_ = std::move(stream);
  handed_over_ = from;
  passed_ = from;
  // A sink may have gone back since: what it lost must not be confirmed from memory.
  durable_ = std::min(durable_, from);
  reported_ = 0;
  reply_wanted_ = false;
  leaving_since_.reset();
  last_status_ = clock_.now();
  last_heard_ = clock_.now();
  asked_at_.reset();
  last_advance_ = clock_.now();
}

// Between two transactions, since what the server has begun to send would come again.
bool LogicalCapturer::may_begin_again() const {
  return backlog_end_ != 0 && passed_ >= backlog_end_ && !assembler_.within_transaction();
}

// The backlog is worked off.
void LogicalCapturer::begin_again() {
  if (!can_stream()) {
    backlog_end_ = 0;
    return;
  }
  send_status();
  // On a new connection: a walsender that was asked to end a logical stream never forgets it, and
  // ends the next one at once (seen of 15).
  if (!stream_->finish(clock_.now() + kEndPatience, clock_)) {
    throw Error{ErrorKind::kTransient, "source: the server does not end the stream of a backlog"};
  }
  // The slot is nobody's for a moment.
  open_in_session(*this, {{LSN::from_postgres(handed_over_), session_.history()}, false});
  log_->info("backlog worked off lsn={} streaming={}", LSN::from_postgres(handed_over_).to_string(),
             streaming_ ? "on" : "off");
}

// Transactions in progress.
bool LogicalCapturer::can_stream() {
  const int version = session_.catalog().server_version();
  // Before 16, a streamed transaction that begins with TRUNCATE or DDL hides its origin: the server
  // takes it from the first change, and those have none. Whole ones do not.
  const bool hides_origins = session_.options().local_changes_only && version < 160000;
  return session_.options().streaming && version >= 140000 &&
         !session_.options().spill_folder.empty() && !hides_origins;
}

std::string LogicalCapturer::stream_options(const std::vector<std::string>& publications) {
  std::string names;
  for (const std::string& name : publications) {
    names += (names.empty() ? "" : ",") + pq::quote_identifier(name);
  }
  if (names.empty()) {
    throw Error{
        ErrorKind::kOperator,
        fmt::format("source: publication {} does not exist", session_.options().publication),
        "it was dropped while headgate was running; without it the log cannot be decoded"};
  }
  // An option that the server does not know is an error there.
  const int version = session_.catalog().server_version();
  std::string options = fmt::format("proto_version '{}', publication_names {}", streaming_ ? 2 : 1,
                                    session_.catalog().quote_literal(names));
  if (streaming_) {
    options += ", streaming 'on'";
  }
  if (session_.options().local_changes_only && version >= 160000) {
    options += ", origin 'none'";
  }
  if (binary_) {
    options += ", binary 'true'";
  }
  return options;
}

TableSchemaPtr LogicalCapturer::schema_of(const RelationMessage& relation, std::uint32_t xid) {
  TableSchemaPtr schema = session_.schema_of(relation, xid);
  if (binary_ && schema && !has_binary_text(*schema)) {
    session_.forbid_binary();
    throw Error{
        ErrorKind::kTransient,
        fmt::format("source: table {} has a column without a binary form: reading again with "
                    "text values",
                    schema->name.to_string())};
  }
  return schema;
}

CaptureResult LogicalCapturer::fetch(const FetchLimits& limits, TimePoint deadline) {
  CaptureResult result;
  std::size_t bytes = 0;
  std::size_t counted = 0;
  leave_with_server();
  while (true) {
    bool more = true;
    int messages = 0;
    while (more && result.transactions.size() < limits.transactions_max &&
           bytes < limits.bytes_max && ++messages <= kMessagesPerLook) {
      more = receive(result);
      for (; counted < result.transactions.size(); ++counted) {
        bytes += result.transactions[counted]->memory_bytes();
      }
    }
    send_status_if_due();
    if (!replay_ && result.transactions.empty()) {
      schema_watch_.look(clock_.now());
    }
    if (!result.transactions.empty()) {
      result.batch_id = BatchContext::make({}, clock_.wall_now()).batch_id;
      return result;
    }
    if (clock_.now() >= deadline) {
      return result;
    }
    if (!more) {
      if (may_begin_again()) {
        begin_again();
        continue;
      }
      const Duration until_status = reply_wanted_ ? kReplyGap : session_.options().status_interval;
      if (stream_->wait(std::min(deadline, last_status_ + until_status), clock_)) {
        last_heard_ = clock_.now();
        asked_at_.reset();
      } else {
        watch_silence();
      }
    }
  }
}

// Takes one message that has arrived; false when there is none.
bool LogicalCapturer::receive(CaptureResult& result) {
  if (replay_) {
    replay(result);
    return true;
  }
  const auto received = stream_->receive();
  if (!received) {
    return false;
  }
  if (received->payload.empty()) {
    take_keep_alive(*received, result);
    return true;
  }
  take(received->payload, result);
  return true;
}

void LogicalCapturer::take(std::string_view bytes, CaptureResult& result) {
  if (spool_.in_segment() && bytes.front() != 'E') {
    spool_.add(bytes);
    return;
  }
  const PgoutputMessage& message = decoder_.decode(bytes);
  if (const auto* start = std::get_if<StreamStartMessage>(&message)) {
    spool_.start(*start);
  } else if (std::holds_alternative<StreamStopMessage>(message)) {
    spool_.stop();
  } else if (const auto* abort = std::get_if<StreamAbortMessage>(&message)) {
    spool_.abort(*abort);
  } else if (const auto* commit = std::get_if<StreamCommitMessage>(&message)) {
    begin_replay(*commit, result);
  } else {
    assembler_.add(message, result.transactions);
    assembled(result);
  }
}

void LogicalCapturer::begin_replay(const StreamCommitMessage& commit, CaptureResult& result) {
  replay_.emplace(Replay{spool_.take(commit.xid), commit.commit});
  const BeginMessage begin{commit.commit.commit_lsn, commit.commit.commit_time, commit.xid};
  assembler_.add(PgoutputMessage{begin}, result.transactions);
}

// One message of it.
void LogicalCapturer::replay(CaptureResult& result) {
  if (const auto message = replay_->transaction.next()) {
    assembler_.add(decoder_.decode(*message), result.transactions);
    return;
  }
  const PgoutputMessage commit{replay_->commit};
  replay_.reset();
  assembler_.add(commit, result.transactions);
  assembled(result);
}

void LogicalCapturer::assembled(const CaptureResult& result) {
  if (!result.transactions.empty() && ends(result.transactions.back()->portion)) {
    handed_over_ = result.transactions.back()->end_position.lsn.to_postgres();
    passed_ = std::max(passed_, handed_over_);
    silences_ = handed_over_ > silent_at_ ? 0 : silences_;
  }
}

void LogicalCapturer::take_keep_alive(const ReplicationMessage& keep_alive, CaptureResult& result) {
  reply_wanted_ = reply_wanted_ || keep_alive.reply_wanted;
  const Duration gap =
      keep_alive.reply_wanted ? kAskedAdvanceGap : session_.options().idle_advance_interval;
  const bool due = clock_.now() >= last_advance_ + gap;
  if (assembler_.within_transaction() || keep_alive.sent_lsn <= handed_over_) {
    return;
  }
  passed_ = std::max(passed_, keep_alive.sent_lsn);
  const std::vector<TableSchemaPtr> altered = schema_watch_.due(keep_alive.sent_lsn);
  if (!due && altered.empty()) {
    return;
  }
  // All before sent_lsn has been decoded and sent, and nothing of it is still under way here: the
  // sinks may move on to it although nothing changes in them.
  const LSN reached = LSN::from_postgres(keep_alive.sent_lsn);
  auto advance = std::make_shared<Transaction>("", reached, clock_.wall_now());
  advance->end_position = {reached, session_.history()};
  for (const TableSchemaPtr& table : altered) {
    advance->involve(table);
    assembler_.redescribe(table);
  }
  result.transactions.push_back(std::move(advance));
  handed_over_ = keep_alive.sent_lsn;
  last_advance_ = clock_.now();
}

void LogicalCapturer::acknowledge(const Position& durable) {
  durable_ = std::max(durable_, durable.lsn.to_postgres());
}

void LogicalCapturer::keep_alive() {
  leave_with_server();
  send_status_if_due();
}

// Hangs up on a server that is shutting down, before our sinks keep it from doing so (I10). Also
// the only way to notice that while the queues are full and nothing is read.
void LogicalCapturer::leave_with_server() {
  if (!session_.catalog_ended()) {
    leaving_since_.reset();
    return;
  }
  if (!leaving_since_) {
    try {
      session_.catalog();  // only this one session was ended
      return;
    } catch (const Error& error) {
      log_->info("source server ends its sessions error=\"{}\"", error.what());
    }
    leaving_since_ = clock_.now();
  }
  if (clock_.now() - *leaving_since_ > kLeavingPatience) {
    throw Error{
        ErrorKind::kTransient,
        "source: the server ends its sessions; the stream is closed so that a shutdown need "
        "not wait for the sinks"};
  }
}

// TCP notices a network that is gone, but not a server or a proxy that hangs. Some servers also say
// nothing while they decode a large transaction of which nothing is published, and would begin it
// again for us: so the patience doubles until something was read beyond that place.
void LogicalCapturer::watch_silence() {
  const Duration patience = session_.options().receive_timeout / 2 * (1U << silences_);
  if (asked_at_ && clock_.now() - *asked_at_ >= patience) {
    silences_ = std::min(silences_ + 1, kSilencesMax);
    silent_at_ = handed_over_;
    throw Error{ErrorKind::kTransient,
                fmt::format("source: the server sends nothing, and has not answered for {} s",
                            std::chrono::duration_cast<std::chrono::seconds>(patience).count()),
                "look whether it hangs, or something between here and there"};
  }
  if (!asked_at_ && clock_.now() - last_heard_ >= patience) {
    send_status(ReplicationStream::Reply::kWanted);
    asked_at_ = clock_.now();
  }
}

void LogicalCapturer::send_status_if_due() {
  const Duration age = clock_.now() - last_status_;
  if (age >= session_.options().status_interval || (durable_ > reported_ && age >= kStatusGap) ||
      (reply_wanted_ && age >= kReplyGap)) {
    send_status();
  }
}

void LogicalCapturer::send_status(ReplicationStream::Reply reply) {
  if (schema_watch_.waits()) {
    reply = ReplicationStream::Reply::kWanted;  // with how far the server has got
  }
  stream_->send_status(handed_over_, durable_, clock_.wall_now(), reply);
  reported_ = durable_;
  reply_wanted_ = false;
  last_status_ = clock_.now();
}

void LogicalCapturer::stop() noexcept {
  if (!stream_) {
    return;
  }
  try {
    send_status();
    stream_->end();
  } catch (const std::exception& error) {
    log_->debug("stream not closed politely error=\"{}\"", error.what());
  }
  stream_.reset();
}

}  // namespace headgate::source::postgres
