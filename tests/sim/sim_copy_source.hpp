// The simulated source's copy points and chunks.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "pipeline/copy_source.hpp"
#include "sim_connection.hpp"

namespace headgate::sim {

// A copy point is the end of some commit with the source's state at it. Points may be late, and a
// table that was rewritten since its point cannot be read there. Complains about every call that
// the contract of CopySource forbids.
class SimCopySource final : public CopySource, public SimConnection {
 public:
  using SimConnection::SimConnection;

  // A point that comes is where the log ends then, as SQL Server's: the stream need not wait for
  // it.
  void find_points_at_the_end() { at_the_end_ = true; }

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
  void expect(bool holds, const char* rule);
  // Empty: what is asked for cannot be read at this point.
  std::optional<std::size_t> begin_reading(const CopyTable& table);
  void find_chunk(std::size_t table, const std::vector<std::string>& after, std::size_t rows_max);

  bool at_the_end_ = false;
  bool asked_ = false;
  std::uint64_t asked_at_ = 0;  // where the source's log ended
  TimePoint ready_at_{};
  std::optional<Position> point_;
  State state_;                   // at point_
  std::set<std::uint32_t> told_;  // by tables(), of point_

  std::vector<RowChange> rows_;  // of the chunk
  std::size_t next_ = 0;         // of rows_
  bool reading_ = false;
  std::optional<std::vector<std::string>> next_cursor_;
};

}  // namespace headgate::sim
