// Copy points and rows as the test tells them.

#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "pipeline/copy_source.hpp"
#include "pipeline_fixture.hpp"

namespace headgate::pipeline_test {

// Tables have one key column, `id`, and their rows are the same at every point. Calls that break
// the contract of CopySource are noted in misuse.
class ScriptedCopySource final : public CopySource {
 public:
  struct Point {
    Position position;
    Duration delay{};  // after it was asked for
  };

  explicit ScriptedCopySource(ManualClock& clock) : clock_(clock) {}

  // `ids` in their order.
  void put(const TableSchemaPtr& table, std::vector<std::string> ids);
  void drop(const TableSchemaPtr& table) { tables_.erase(table->source_id); }
  // The answer to a request for a point; without one it never comes.
  void answer(const Position& position, Duration delay = {}) {
    points_.push_back({position, delay});
  }
  // The next chunk cannot be read at its point.
  void hide_next_chunk() { hidden_ = true; }
  // No point shows the rows of these tables.
  std::set<std::uint32_t> refused;
  // Nor of these, which is seen when they are read.
  std::set<std::uint32_t> refused_late;
  // What was wanted of each point; 0 alone: all.
  std::vector<std::vector<std::uint32_t>> wanted;
  // The next call of this name fails.
  void fail(const std::string& call, ErrorKind kind) { failures_[call] = kind; }

  void want(const std::vector<std::uint32_t>* tables) override;
  void request_point() override;
  std::optional<Position> point(TimePoint deadline) override;
  Waiting waiting() const override { return waits; }
  std::vector<CopyTable> tables(const std::set<std::uint32_t>* only) override;
  bool begin_chunk(const CopyTable& table, const std::vector<std::string>& after,
                   std::size_t rows_max) override;
  bool begin_rows(const CopyTable& table,
                  const std::vector<std::vector<std::string>>& keys) override;
  Read read(Transaction& portion, std::size_t bytes_max, TimePoint deadline) override;
  std::optional<std::vector<std::string>> next_cursor() const override { return next_cursor_; }
  std::vector<std::vector<std::string>> left_out() const override { return left_out_; }
  Refusal refusal() const override { return {"hidden by the test", "show it"}; }
  void release_point() noexcept override;
  void close() noexcept override;

  Waiting waits{true, "nobody has answered", "answer"};
  // Keys of rows that the present point cannot tell.
  std::set<std::string> unknown;
  std::size_t rows_per_read = 1000;
  Duration time_per_read{};
  std::size_t requests = 0;
  std::size_t closes = 0;
  bool has_point() const { return point_.has_value(); }
  std::vector<std::string> misuse;

 private:
  struct Table {
    TableSchemaPtr schema;
    std::vector<std::string> ids;
  };

  void enter(const std::string& call, bool needs_point);
  void expect(bool holds, const std::string& rule);
  bool begin_reading(const CopyTable& table);

  ManualClock& clock_;
  std::map<std::uint32_t, Table> tables_;
  std::deque<Point> points_;
  bool hidden_ = false;
  std::map<std::string, ErrorKind> failures_;

  std::optional<Point> asked_;
  TimePoint asked_at_{};
  std::optional<Position> point_;
  std::set<std::uint32_t> told_;
  TableSchemaPtr reading_;
  std::deque<std::string> rows_;
  std::optional<std::vector<std::string>> next_cursor_;
  std::vector<std::vector<std::string>> left_out_;
};

}  // namespace headgate::pipeline_test
