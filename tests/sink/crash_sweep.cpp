#include "crash_sweep.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <exception>
#include <fstream>
#include <iterator>
#include <random>
#include <utility>

#include <fmt/format.h>

#include "base/check.hpp"
#include "crash_source.hpp"
#include "db/sqlite/connection.hpp"
#include "db/sqlite/statement.hpp"
#include "pipeline/apply_step.hpp"
#include "pipeline/capture_step.hpp"
#include "pipeline/fake_sink.hpp"
#include "pipeline/pipeline_fixture.hpp"
#include "pipeline/runtime.hpp"
#include "pipeline/state_manager.hpp"
#include "sink/sqlite/sqlite_sink.hpp"

namespace headgate::sink::sqlite::test {
namespace {

using pipeline_test::position;
using pipeline_test::quiet;

constexpr const char* kFile = "sink.db";

std::uint64_t number_of(const Position& position) {
  return position.empty() ? 0 : position.lsn.to_postgres();
}

bool has_table(db::sqlite::Connection& connection, const std::string& table) {
  return connection.query_integer("SELECT count(*) FROM sqlite_schema WHERE name = '" + table +
                                  "'") > 0;
}

std::string first_difference(const CrashWorkload::State& expected,
                             const CrashWorkload::State& found) {
  const auto [a, b] = std::mismatch(expected.begin(), expected.end(), found.begin(), found.end());
  return fmt::format("expected {:.60}, found {:.60}", a == expected.end() ? "no more rows" : *a,
                     b == found.end() ? "no more rows" : *b);
}

}  // namespace

// Source, both steps and sink, from the start of a process to its end.
class CrashSweep::Process {
 public:
  Process(const CrashWorkload& workload, PowerCutVfs& vfs, const std::string& path)
      : vfs_(vfs),
        end_(workload.end()),
        source_(workload, clock_),
        sink_(Options{"shop", "business", path}, clock_, quiet(),
              Tuning{.busy_timeout = std::chrono::milliseconds(0)}),
        capture_(runtime_, {{&queue_, &progress_}}, capture_progress_, clock_, {}, quiet()),
        apply_("business", sink_, transformer_, queue_, progress_, clock_,
               ApplyOptions{.batch_transactions_max = 3}, quiet()) {
    runtime_.add(source_);
  }

  // Applies what ends after `from`, makes it durable and closes, or dies on the way.
  void run(std::uint64_t from) {
    runtime_.start_at({from == 0 ? Position{} : position(from), false});
    while (!vfs_.dead() && !(source_.exhausted() && queue_.empty())) {
      apply();
      capture_.step();
    }
    apply_.drain();
    apply();
    if (!vfs_.dead()) {
      capture_.finish();
      HEADGATE_CHECK(source_.discarded() == end_, "the source may forget what is durable");
    }
    apply_.close();
  }

  Known known() const {
    const SinkStatus status = progress_.get();
    return {status.state != "starting", number_of(status.applied),
            std::max(number_of(status.durable), source_.discarded()), vfs_.last_operation()};
  }

 private:
  // Until there is nothing to do before time passes. An error is the dying disk's, or none.
  void apply() {
    for (int round = 0; !vfs_.dead(); ++round) {
      HEADGATE_CHECK(round < 1000, "the step comes to rest");
      const bool worked = apply_.step().kind == StepOutcome::Kind::kWorked;
      const std::string error = progress_.get().error;
      HEADGATE_CHECK(error.empty() || vfs_.dead(), error.c_str());
      if (!worked) {
        return;
      }
    }
  }

  PowerCutVfs& vfs_;
  const std::uint64_t end_;
  pipeline_test::ManualClock clock_;
  pipeline_test::PassOn transformer_;
  StateManager states_;
  Runtime runtime_{states_, quiet()};
  CrashSource source_;
  SqliteSink sink_;
  DeliveryQueue queue_{std::size_t{10000}, std::size_t{1} << 30U};
  SinkProgress progress_;
  CaptureProgress capture_progress_;
  CaptureStep capture_;
  ApplyStep apply_;
};

CrashSweep::CrashSweep(const SweepOptions& options)
    : options_(options), workload_(options.seed, options.transactions), new_disk_(new_disk()) {
  // So that a small history meets checkpoints, a log begun anew and cut short, and pages written
  // before their transaction ends.
  vfs_.fix_pragma("wal_autocheckpoint", "24");
  vfs_.fix_pragma("journal_size_limit", "60000");
  vfs_.fix_pragma("cache_size", "10");
}

Disk CrashSweep::new_disk() const {
  Disk disk(options_.device);
  if (options_.tables_exist) {
    const std::string path = mirror_.file(kFile);
    db::sqlite::Connection(path).execute(CrashWorkload::create_tables_sql());
    std::ifstream file(path, std::ios::binary);
    disk.add_durable(kFile, {std::istreambuf_iterator<char>(file), {}});
  }
  return disk;
}

SweepResult CrashSweep::run() {
  result_ = {};
  const std::uint64_t first = options_.only_stop.value_or(1);
  for (std::uint64_t stop = first; stop_at(stop); stop += options_.stride) {
    if (options_.only_stop || result_.problems.size() >= options_.problems_max) {
      break;
    }
  }
  return result_;
}

// False when the process reaches its end before this operation.
bool CrashSweep::stop_at(std::uint64_t stop) {
  vfs_.mount(folder_.path(), new_disk_);
  Known known;
  const std::string problem = live(0, stop, known);
  if (!problem.empty()) {
    report(problem, stop, {});
    return false;
  }
  const bool died = vfs_.dead();
  if (died) {
    ++result_.stops;
    result_.struck.insert(vfs_.last_operation());
  }
  const Disk stopped = vfs_.disk();
  for (unsigned round = 0; round < options_.rounds; ++round) {
    if (options_.only_round.value_or(round) != round) {
      continue;
    }
    ++result_.cases;
    const std::string found = go_on(stopped, known, stop, round);
    if (!found.empty()) {
      report(found, stop, round);
    }
  }
  return died;
}

// From a stopped process to the end; returns what is wrong.
std::string CrashSweep::go_on(const Disk& stopped, const Known& known, std::uint64_t stop,
                              unsigned round) {
  std::seed_seq seeds{options_.seed, stop, std::uint64_t{round}};
  std::mt19937_64 random(seeds);
  const auto power_cut = [&] {
    constexpr std::array kKeeps{PowerCut::Keep::kNothing, PowerCut::Keep::kAll,
                                PowerCut::Keep::kSome,    PowerCut::Keep::kSome,
                                PowerCut::Keep::kSome,    PowerCut::Keep::kSome};
    return PowerCut{kKeeps[random() % kKeeps.size()], random()};
  };
  History history{known.connected ? 1U : 0U, known.durable};
  bool killed = round == 0;
  Disk disk = killed ? stopped : stopped.after(power_cut());
  Known last = known;

  // One process in two is stopped as well, most of these soon: what mends the first is struck.
  const bool stops_again = random() % 2 == 0 && options_.second_stops;
  const std::uint64_t second_stop = stops_again ? 1 + random() % (random() % 3 == 0 ? 300 : 25) : 0;
  for (const std::uint64_t next_stop : {second_stop, std::uint64_t{0}}) {
    Found found;
    const std::string left = judge(disk, history, killed ? last.applied : 0, found);
    if (!left.empty()) {
      return fmt::format("{} at {}: {}", killed ? "killed" : "power cut", last.struck, left);
    }
    // The source reads on from where the sink stands, or again from anywhere before it that it
    // still has.
    const std::array<std::uint64_t, 3> starts{0, history.durable, found.position};
    const std::uint64_t from = starts[random() % starts.size()];
    vfs_.mount(folder_.path(), disk);
    last = {};
    const std::string problem = live(from, next_stop, last);
    if (!problem.empty()) {
      return fmt::format("reading on from {}: {}", from, problem);
    }
    history.connects += last.connected ? 1U : 0U;
    history.durable = std::max(history.durable, last.durable);
    killed = random() % 2 == 0 && vfs_.dead();
    disk = killed ? vfs_.disk() : vfs_.disk().after(power_cut());
    if (!vfs_.dead()) {
      break;
    }
    ++result_.second_stops;
  }
  Found found;
  const std::string end = judge(disk, history, workload_.end(), found);
  return end.empty() ? end : "at the end: " + end;
}

// One process; `stop` 0: to its end. Returns what goes wrong without a fault of the disk.
std::string CrashSweep::live(std::uint64_t from, std::uint64_t stop, Known& known) {
  Process process(workload_, vfs_, folder_.file(kFile));
  vfs_.die_at(stop, [&] { known = process.known(); });
  try {
    process.run(from);
  } catch (const std::exception& error) {
    if (!vfs_.dead()) {
      return error.what();
    }
  }
  if (!vfs_.dead()) {
    known = process.known();
  }
  return {};
}

// Is what lies on the disk something that the source held, and no less than was promised?
std::string CrashSweep::judge(const Disk& disk, const History& history, std::uint64_t least,
                              Found& found) {
  const std::string damage = look(disk, found);
  if (!damage.empty()) {
    return damage;
  }
  const CrashWorkload::State* expected = workload_.state_at(found.position);
  if (expected == nullptr) {
    return fmt::format("it stands at {}, where no transaction ends", found.position);
  }
  if (found.rows != *expected) {
    return fmt::format("its rows are not those of {}: {}", found.position,
                       first_difference(*expected, found.rows));
  }
  if (found.position < history.durable) {
    return fmt::format("it stands at {}, but {} was reported as durable", found.position,
                       history.durable);
  }
  if (found.position < least) {
    return fmt::format("it stands at {}, but the commit of {} had returned", found.position, least);
  }
  if (found.epoch < history.connects) {
    return fmt::format("the epoch is {} after {} processes", found.epoch, history.connects);
  }
  return {};
}

std::string CrashSweep::look(const Disk& disk, Found& found) const {
  const auto files = disk.files();
  if (files.count(kFile) == 0) {
    return {};
  }
  replace_files(mirror_.path(), files);
  try {
    db::sqlite::Connection connection(mirror_.file(kFile), {.create = false});
    const std::string integrity = connection.query_text("PRAGMA integrity_check");
    if (integrity != "ok") {
      return "integrity_check: " + integrity.substr(0, 200);
    }
    for (const std::string& table : CrashWorkload::tables()) {
      if (!has_table(connection, table)) {
        continue;
      }
      db::sqlite::Statement query(connection, CrashWorkload::dump_sql(table), "dump");
      db::sqlite::Rows rows = query.rows();
      while (rows.next()) {
        found.rows.emplace_back(rows.text(0));
      }
    }
    std::sort(found.rows.begin(), found.rows.end());
    if (has_table(connection, "headgate_positions")) {
      const auto row = PositionTable(connection, "shop", "business").read();
      found.position = row ? number_of(row->position) : 0;
      found.epoch = row ? row->epoch : 0;
    }
    return {};
  } catch (const std::exception& error) {
    return error.what();
  }
}

// On one line.
void CrashSweep::report(const std::string& problem, std::uint64_t stop,
                        std::optional<unsigned> round) {
  std::string line =
      fmt::format("HEADGATE_SEED={} HEADGATE_CRASH_STOP={}{}: {}", options_.seed, stop,
                  round ? fmt::format(" HEADGATE_CRASH_ROUND={}", *round) : "", problem);
  std::replace(line.begin(), line.end(), '\n', ' ');
  result_.problems.push_back(std::move(line));
}

}  // namespace headgate::sink::sqlite::test
