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
#include "source/sqlserver/copy_view.hpp"
#include "source/sqlserver/page_readers.hpp"
#include "source/sqlserver/row_counts.hpp"
#include "source/sqlserver/row_patches.hpp"
#include "source/sqlserver/scan_fence.hpp"
#include "source/sqlserver/session.hpp"
#include "source/sqlserver/table_key.hpp"
#include "source/sqlserver/table_locks.hpp"

namespace headgate::source::sqlserver {

// The server has no snapshot with a position, and unless somebody has asked for it nobody is locked
// out to make one. But a snapshot's place can be enclosed, and the change tables know what lies
// between:
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
// Of a table without a key the rows that changed in (from, to] are counted, with the help of the
// view of the point before, which is kept for that when it was needed (RowCounts). A chunk whose
// changes are too many for memory is made smaller.
//
// With Options::lock_tables, writers of the tables stand still during 2 and the savepoint (only of
// those, and briefly: TableLocks). Then the view has exactly what ended before the savepoint, which
// takes the place of `from` for these tables; others are not read at the point.
//
// Where the database does not allow snapshots, no point comes until it does.
//
// The server keeps old row versions while a point is awaited and used: some seconds, and as much
// longer as the capture process is behind. Its log it keeps for that process anyway.
class ChunkReader final : public CopySource {
 public:
  // `session` and `clock` must outlive it.
  ChunkReader(Session& session, const Clock& clock, Logger log);
  ~ChunkReader() override;

  void want(const std::vector<std::uint32_t>* tables) override;
  void request_point() override;
  std::optional<Position> point(TimePoint deadline) override;
  Waiting waiting() const override;
  std::vector<CopyTable> tables(const std::set<std::uint32_t>* only) override;
  bool begin_chunk(const CopyTable& table, const std::vector<std::string>& after,
                   std::size_t rows_max) override;
  bool begin_rows(const CopyTable& table,
                  const std::vector<std::vector<std::string>>& keys) override;
  Read read(Transaction& portion, std::size_t bytes_max, TimePoint deadline) override;
  Refusal refusal() const override { return refusal_; }
  std::optional<std::vector<std::string>> next_cursor() const override;
  std::vector<std::vector<std::string>> left_out() const override { return left_out_; }
  void release_point() noexcept override;
  void close() noexcept override;

 private:
  void pin();
  bool try_to_pin();
  std::vector<TableLocks::Table> tables_to_lock();
  void add_estimates(std::vector<CopyTable>& tables);

  bool open(const CopyTable& table);
  bool refuse(std::string reason, std::string remedy = {});
  bool refuse_unreadable();
  bool attempt(const std::function<bool()>& begin);
  bool begin_keyed(const std::vector<std::string>& after, std::size_t rows_max);
  bool begin_reading(const KeyRange& range);
  bool holds_changes(const LSN& behind);
  bool patch(const KeyRange& range);
  bool begin_whole();
  bool count_changes();
  bool ask_earlier();
  bool captured_exactly();
  bool count_earlier(TimePoint deadline);
  std::string table_name() const;
  std::string where(const KeyRange& range) const;
  std::optional<KeyText> find_bound(const KeyRange& range, std::size_t rows_max);
  void select(CopyView& view, const KeyRange& range);
  RowPatches::Values fetch();
  void add(RowPatches::Values values, Transaction& portion) const;
  bool is_wanted(const KeyText& key) const { return !wanted_ || wanted_->contains(key); }
  std::optional<KeyText> key_text(const RowPatches::Key& key) const;
  void end_reading(Transaction& portion);
  bool add_counted(Transaction& portion, std::size_t bytes_max, TimePoint deadline);

  Session& session_;
  const Clock& clock_;
  Logger log_;
  PageReaders pages_;  // of changes, over the session's connection

  TableLocks locks_;

  std::optional<std::vector<std::uint32_t>> wanted_tables_;  // none: all
  bool asked_ = false;
  LSN from_;
  std::unique_ptr<CopyView> view_;
  std::optional<ScanFence> fence_;
  // That of an earlier point, for tables without a key; null: none. It is kept, in place of the one
  // before it, where it would have been of use.
  std::unique_ptr<CopyView> earlier_;
  bool earlier_missed_ = false;
  TimePoint next_look_{};
  bool snapshots_allowed_ = true;  // as far as the point that is awaited knows
  std::optional<Position> point_;

  std::vector<Reading> tables_;  // as they are at the point
  // Of the chunk that is read.
  const Reading* reading_ = nullptr;
  LSN seen_to_;  // the view has everything of the table up to there
  std::optional<TableKey> key_;
  std::optional<RowPatches> patches_;
  std::optional<RowCounts> counts_;          // where it has no key, and rows that have changed
  bool counting_earlier_ = false;            // rows_ are those of the earlier view
  std::optional<std::set<KeyText>> wanted_;  // rows of these keys alone
  std::string doing_;                        // for errors
  std::optional<odbc::Statement> rows_;
  std::optional<KeyText> next_cursor_;
  std::vector<KeyText> left_out_;
  Refusal refusal_;
};

}  // namespace headgate::source::sqlserver
