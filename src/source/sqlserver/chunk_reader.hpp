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
//   1. A transaction in SNAPSHOT isolation pins its view by reading how far changes are captured,
//      `from`. Whatever is captured there was committed before, so the view has it.
//   2. A savepoint in it gets a place in the log behind all that the view has. Once changes are
//      captured to there, `to` is how far they are: nothing that the view has stands behind `to`.
//   3. Rows are read in the view, and what the change tables have in (from, to] is done to them,
//      seen in the view or not: then they are exactly as at `to`, which is the point (RowPatches).
//
// A table without a key can only be read at a point where nothing changed in (from, to].
//
// Nothing is locked. The server keeps old row versions while a point is there, and, for the
// savepoint's sake, its log: some seconds.
class ChunkReader final : public CopySource {
 public:
  // `session` and `clock` must outlive it.
  ChunkReader(Session& session, const Clock& clock, Logger log);
  ~ChunkReader() override;

  void request_point() override;
  std::optional<Position> point(TimePoint deadline) override;
  std::vector<CopyTable> tables(const std::set<std::uint32_t>* only) override;
  bool begin_chunk(const CopyTable& table, const std::vector<std::string>& after,
                   std::size_t rows_max) override;
  bool begin_rows(const CopyTable& table,
                  const std::vector<std::vector<std::string>>& keys) override;
  Read read(Transaction& portion, std::size_t bytes_max, TimePoint deadline) override;
  std::optional<std::vector<std::string>> next_cursor() const override;
  void release_point() noexcept override;
  void close() noexcept override;

 private:
  void connect();
  void pin();
  void add_estimates(std::vector<CopyTable>& tables);

  bool open(const CopyTable& table);
  bool begin_reading(const std::string& condition);
  bool holds_changes();
  bool patch(const std::string& condition);
  bool attempt(const std::function<bool()>& begin);
  std::string table_name() const;
  std::optional<KeyText> find_bound(const std::string& condition, std::size_t rows_max);
  void select(const std::string& condition);
  RowPatches::Values fetch();
  void add(RowPatches::Values values, Transaction& portion) const;
  std::string condition_of(const std::vector<KeyText>& keys) const;

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
  RowPatches patches_;
  std::optional<std::set<KeyText>> wanted_;  // rows of these keys alone
  std::string doing_;                        // for errors
  std::optional<odbc::Statement> rows_;
  std::optional<KeyText> next_cursor_;
};

}  // namespace headgate::source::sqlserver
