// A SQLite sink in a folder of its own, what to write to it, and a second pair of eyes.

#pragma once

#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include <spdlog/sinks/ostream_sink.h>

#include "sink/sqlite/sqlite_sink.hpp"
#include "sink_operations.hpp"

namespace headgate::sink::sqlite::test {

// A folder that is gone after the test.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Stands still until it is told to move.
class StillClock final : public Clock {
 public:
  TimePoint now() const override { return now_; }
  WallTime wall_now() const override { return wall_; }
  void pass(Duration time) {
    now_ += time;
    wall_ += std::chrono::duration_cast<std::chrono::microseconds>(time);
  }

 private:
  TimePoint now_{std::chrono::hours(1)};
  WallTime wall_{std::chrono::seconds(1782907200)};  // 2026-07-01T12:00:00Z
};

using sink_test::Cell;
using sink_test::Cells;
using sink_test::error_of;
using sink_test::kind_of_error;
using sink_test::kNull;
using sink_test::kUnsent;
using sink_test::mark_at;
using sink_test::Operations;
using sink_test::position_at;
using sink_test::Strings;
using sink_test::TestColumn;

// SQLite has no schemas: a table goes by its name alone.
SinkConfigPtr make_table(const std::string& name, const std::vector<TestColumn>& columns,
                         std::vector<std::size_t> key,
                         OnConflict on_conflict = OnConflict::kOverwrite);

// One sink and its file. `sink` is connected.
class Fixture {
 public:
  explicit Fixture(Tuning tuning = {.busy_timeout = std::chrono::milliseconds(20)});

  // One whole sink transaction that prepares the tables it uses.
  void apply(const Operations& operations, std::uint64_t lsn);
  // begin(), prepare and write(), without the end.
  void write(const Operations& operations);

  // Runs SQL through a connection of its own, as a person or another program would.
  void execute(const std::string& sql);
  // Rows as "1|'text'|NULL|X'00'", each value as SQLite's quote() prints it, seen by a connection
  // of its own.
  std::vector<std::string> rows(const std::string& select);
  std::string value(const std::string& select);
  // All rows of a table in the order of their first column.
  std::vector<std::string> table(const std::string& name);

  std::unique_ptr<SqliteSink> make_sink();
  std::string log() const { return log_text_.str(); }
  std::string path() const { return folder.file("sink.db"); }

  Folder folder;
  StillClock clock;
  Tuning tuning;

 private:
  std::ostringstream log_text_;
  // Kept open: opening and closing the file beside a sink in one process is only safe through
  // SQLite.
  std::optional<db::sqlite::Connection> reader_;

 public:
  std::unique_ptr<SqliteSink> sink;
};

}  // namespace headgate::sink::sqlite::test
