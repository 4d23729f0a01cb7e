// A SQL Server source's rows for a copy in chunks.

#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "pipeline/copy_source.hpp"
#include "source/sqlserver/page_readers.hpp"
#include "source/sqlserver/row_patches.hpp"
#include "source/sqlserver/scan_fence.hpp"
#include "source/sqlserver/session.hpp"
#include "source/sqlserver/table_key.hpp"

namespace headgate::source::sqlserver {

// The server has no snapshot with a position, and nobody may be locked out to make one. But a
// snapshot's place can be enclosed, and the change tables know what lies between:
//
//   1. It is read how far changes are captured, `from`. All that was captured then has been
//      committed, and a moment later (Options::commit_settles) every new snapshot has it.
//   2. Then a transaction in SNAPSHOT isolation pins its view by its first read.
//   3. A savepoint in it gets a place in the log behind all that the view has. Once changes are
//      captured to there, `to` is how far they are: nothing that the view has stands behind `to`.
//   4. Rows are read in the view, and what the change tables have in (from, to] is done to them,
//      seen in the view or not: then they are exactly as at `to`, which is the point (RowPatches).
//
// The stream cannot have passed `to`, since nothing was captured beyond it.
//
// A table without a key can only be read at a point where nothing changed in (from, to]. A chunk
// whose changes are too many for memory is made smaller.
//
// Nothing is locked. The server keeps old row versions while a point is awaited and used: some
// seconds, and as much longer as the capture process is behind. Its log it keeps for that process
// anyway.
class ChunkReader final : public CopySource {
 public:
  // `session` and `clock` must outlive it.
  ChunkReader(Session& session, const Clock& clock, Logger log);
  ~ChunkReader() override;

  void request_point() override;
  std::optional<Position> point(TimePoint deadline) override;
  Waiting waiting() const override;
  std::vector<CopyTable> tables(const std::set<std::uint32_t>* only) override;
  bool begin_chunk(const CopyTable& table, const std::vector<std::string>& after,
                   std::size_t rows_max) override;
  bool begin_rows(const CopyTable& table,
                  const std::vector<std::vector<std::string>>& keys) override;
  Read read(Transaction& portion, std::size_t bytes_max, TimePoint deadline) override;
  std::optional<std::vector<std::string>> next_cursor() const override;
  std::vector<std::vector<std::string>> left_out() const override { return left_out_; }
  void release_point() noexcept override;
  void close() noexcept override;

 private:
  void connect();
  void pin();
  void add_estimates(std::vector<CopyTable>& tables);

  bool open(const CopyTable& table);
  bool attempt(const std::function<bool()>& begin);
  bool begin_keyed(const std::vector<std::string>& after, std::size_t rows_max);
  bool begin_reading(const KeyRange& range);
  bool holds_changes();
  bool patch(const KeyRange& range);
  std::string table_name() const;
  std::string where(const KeyRange& range) const;
  std::optional<KeyText> find_bound(const KeyRange& range, std::size_t rows_max);
  void select(const KeyRange& range);
  RowPatches::Values fetch();
  void add(RowPatches::Values values, Transaction& portion) const;
  bool is_wanted(const KeyText& key) const { return !wanted_ || wanted_->contains(key); }
  std::optional<KeyText> key_text(const RowPatches::Key& key) const;
  void end_reading(Transaction& portion);

  Session& session_;
  const Clock& clock_;
  Logger log_;
  PageReaders pages_;  // of changes, over the session's connection

  bool asked_ = false;
  std::unique_ptr<odbc::Connection> connection_;  // whose transaction is the view
  bool in_view_ = false;
  std::optional<LSN> from_;
  std::optional<ScanFence> fence_;
  TimePoint next_look_{};
  std::optional<Position> point_;

  std::vector<Reading> tables_;  // as they are at the point
  // Of the chunk that is read.
  const Reading* reading_ = nullptr;
  std::optional<TableKey> key_;
  std::optional<RowPatches> patches_;
  std::optional<std::set<KeyText>> wanted_;  // rows of these keys alone
  std::string doing_;                        // for errors
  std::optional<odbc::Statement> rows_;
  std::optional<KeyText> next_cursor_;
  std::vector<KeyText> left_out_;
};

}  // namespace headgate::source::sqlserver
