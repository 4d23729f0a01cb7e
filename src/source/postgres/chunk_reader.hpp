// A PostgreSQL source's rows for a copy in chunks.

#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "pipeline/copy_source.hpp"
#include "source/postgres/copy_reader.hpp"
#include "source/postgres/copy_statement.hpp"
#include "source/postgres/replication_stream.hpp"
#include "source/postgres/session.hpp"

namespace headgate::source::postgres {

// A copy point is the consistent point of a temporary slot, with the snapshot that the server
// exports at it: every transaction before that point is in it, every later one is not (PostgreSQL
// documentation, "Exported Snapshots"). The server waits with it for the transactions that are open
// when it is asked. Nothing is written to the source.
//
// A point holds back the server's clean-up of dead rows as long as it is used: some seconds.
//
// Rows come through connections of their own in the same view: while one chunk is read, the server
// is at work on the next ones of the table already (Options::parallel).
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
  void release_point() noexcept override;
  void close() noexcept override;

 private:
  // Some rows of a table, which the server sends.
  struct Chunk {
    std::unique_ptr<pq::Connection> connection;
    std::uint32_t table = 0;
    std::vector<std::string> after;
    std::size_t rows_max = 0;
    std::optional<std::vector<std::string>> next_cursor;  // nothing: the table's last one
    CopyReader rows;
  };

  static void use_snapshot(pq::Connection& connection, const std::string& snapshot);
  const Session::CopyTable* open(const CopyTable& table);
  std::unique_ptr<pq::Connection> lane();
  Chunk begin_copy(const Session::CopyTable& table, const KeyRange& range);
  KeyRange range_of(const Session::CopyTable& table, const std::vector<std::string>& after,
                    std::size_t rows_max);
  Chunk begin_range(const Session::CopyTable& table, const KeyRange& range, std::size_t rows_max);
  void read_ahead(const Session::CopyTable& table);
  bool lock(const Session::CopyTable& table);
  static void add_estimates(pq::Connection& connection, std::vector<CopyTable>& tables);

  Session& session_;
  const Clock& clock_;
  Logger log_;

  std::unique_ptr<ReplicationStream> asked_;    // while its slot is made
  std::unique_ptr<pq::Connection> connection_;  // holds the snapshot of the point
  std::optional<Position> point_;

  std::vector<Session::CopyTable> tables_;  // as they are at the point
  std::set<std::uint32_t> locked_;          // of these: no one can rewrite them before its end
  std::string exported_;                    // the point's view, for other connections
  std::vector<std::unique_ptr<pq::Connection>> idle_;     // in that view
  std::vector<std::unique_ptr<pq::Connection>> resting_;  // in none

  TableSchemaPtr reading_;
  std::optional<Chunk> chunk_;  // of it
  std::deque<Chunk> ahead_;     // what follows in the table
  std::string doing_;           // for errors
  std::optional<std::vector<std::string>> next_cursor_;
};

}  // namespace headgate::source::postgres
