// The capturer "cdc" of a PostgreSQL source: logical replication through pgoutput.

#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/log.hpp"
#include "pipeline/capturer.hpp"
#include "source/postgres/pgoutput_decoder.hpp"
#include "source/postgres/replication_stream.hpp"
#include "source/postgres/schema_watch.hpp"
#include "source/postgres/session.hpp"
#include "source/postgres/stream_spool.hpp"
#include "source/postgres/transaction_assembler.hpp"

namespace headgate::source::postgres {

// Reads committed transactions in commit order; confirms only what acknowledge() was told; tells
// the server that it lives at least every `status_interval`, whatever the sinks do.
//
// In an idle database the server's log still grows (other tables, other databases). What a
// keep-alive says has been decoded is handed over as an empty transaction now and then, so that the
// sinks' positions and, once these are durable, the slot follow; a sink's position therefore never
// lags what was acknowledged.
//
// The server streams large transactions while they are in progress, so that little is left to do at
// their commit. Those of a backlog are committed already: keeping them aside until the stream comes
// to their ends would only cost time and disk. So a stream that begins far behind gets them whole,
// and is begun again with streaming when it has caught up.
class LogicalCapturer final : public Capturer {
 public:
  // `session` must outlive the capturer.
  LogicalCapturer(Session& session, const Clock& clock, Logger log);

  std::string_view name() const override { return "cdc"; }
  void open(const StartPoint& start) override;
  CaptureResult fetch(const FetchLimits& limits, TimePoint deadline) override;
  void acknowledge(const Position& durable) override;
  void keep_alive() override;
  LSN handed_over() const override { return LSN::from_postgres(passed_); }
  void stop() noexcept override;

 private:
  TableSchemaPtr schema_of(const RelationMessage& relation, std::uint32_t xid);
  bool may_begin_again() const;
  void begin_again();
  bool can_stream();
  std::string stream_options(const std::vector<std::string>& publications);
  bool receive(CaptureResult& result);
  void take(std::string_view message, CaptureResult& result);
  void begin_replay(const StreamCommitMessage& commit, CaptureResult& result);
  void replay(CaptureResult& result);
  void assembled(const CaptureResult& result);
  void take_keep_alive(const ReplicationMessage& keep_alive, CaptureResult& result);
  void leave_with_server();
  void watch_silence();
  void send_status_if_due();
  void send_status(ReplicationStream::Reply reply = ReplicationStream::Reply::kNotNeeded);

  Session& session_;
  const Clock& clock_;
  Logger log_;
  PgoutputDecoder decoder_;
  TransactionAssembler assembler_;
  SpillSpace spill_space_;
  StreamSpool spool_;
  // A streamed transaction whose commit has come: it goes through the assembler before anything
  // else is read.
  struct Replay {
    SpooledTransaction transaction;
    CommitMessage commit;
  };
  std::optional<Replay> replay_;
  SchemaWatch schema_watch_;
  std::unique_ptr<ReplicationStream> stream_;
  // What this stream was asked to send.
  bool binary_ = false;
  bool streaming_ = false;
  std::uint64_t backlog_end_ = 0;  // where the log ended when it began; 0: not far behind

  std::uint64_t handed_over_ = 0;  // end of the last transaction given to the pipeline
  std::uint64_t passed_ = 0;       // where the server has nothing for us before, as far as it said
  std::uint64_t durable_ = 0;      // what the pipeline told us
  std::uint64_t reported_ = 0;     // of that, what the server has been told
  TimePoint last_status_{};
  bool reply_wanted_ = false;  // by a keep-alive since then
  TimePoint last_heard_{};
  std::optional<TimePoint> asked_at_;  // for a sign of life, and none came since
  unsigned silences_ = 0;              // that ended a stream, since something was read beyond
  std::uint64_t silent_at_ = 0;        // this place
  std::optional<TimePoint> leaving_since_;
  TimePoint last_advance_{};
};

}  // namespace headgate::source::postgres
