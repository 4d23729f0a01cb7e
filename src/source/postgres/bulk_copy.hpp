// The capturer "snapshot" of a PostgreSQL source, method `bulk`: all rows at one point of the log.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.hpp"
#include "pipeline/capturer.hpp"
#include "source/postgres/copy_reader.hpp"
#include "source/postgres/session.hpp"

namespace headgate::source::postgres {

// Hands over every row of the captured tables as one large transaction, in portions, at the
// position of a snapshot; a sink applies it in one transaction of its own. Interrupted, it leaves
// nothing behind and begins again.
//
// The snapshot is that of a temporary slot, exported at its consistent point: every transaction
// before that point is in it, every later one is not. The permanent slot exists already and begins
// no later, so that the stream has all that follows.
class BulkCopy final : public Capturer {
 public:
  // `session` must outlive the capturer.
  BulkCopy(Session& session, const Clock& clock, Logger log);

  std::string_view name() const override { return "snapshot"; }
  void open(const StartPoint& start) override;
  CaptureResult fetch(const FetchLimits& limits, TimePoint deadline) override;
  void acknowledge(const Position&) override {}  // nothing before the copy is applied
  void keep_alive() override {}                  // an ordinary session, which nobody times out
  void stop() noexcept override;

 private:
  void take_snapshot();
  void begin_table();
  enum class Taken { kRow, kNothingYet, kTableEnd };
  Taken take_row(Transaction& portion, TimePoint deadline);
  void end_table();
  std::unique_ptr<Transaction> new_portion() const;

  Session& session_;
  const Clock& clock_;
  Logger log_;

  std::unique_ptr<pq::Connection> connection_;  // holds the snapshot
  Position position_;
  std::vector<Session::CopyTable> tables_;
  std::size_t table_ = 0;             // index of the table that is copied
  std::optional<CopyReader> reader_;  // while COPY of that table is under way
  std::string copying_what_;          // for errors
  std::uint64_t table_rows_ = 0;
  std::uint64_t rows_ = 0;
  bool first_portion_ = true;
  TimePoint started_{};
};

}  // namespace headgate::source::postgres
