// Who takes part in a run: Headgate into one of its sinks, PostgreSQL's own subscription, or a bare
// loop.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "stage.hpp"

namespace headgate::bench {

// CPU seconds of one process's part: "daemon", "walsender", "sink".
using CpuShares = std::vector<std::pair<std::string, double>>;

// One contender on a copy of the slot and of the sink of its own, which go with it.
//
// Not thread-safe.
class Run {
 public:
  virtual ~Run() = default;

  // Starts to apply. The clock runs from here on, so what a user waits for at a start is in it.
  virtual void start() = 0;
  // The position that the sink is known to have committed; 0 before there is one.
  virtual std::uint64_t applied() = 0;
  // Whether changes have begun to flow: until then it is the start that takes time.
  virtual bool streaming() = 0;

  // The last two: only while it runs.
  virtual CpuShares cpu() = 0;
  // The peak of the process that stands for the contender; 0 where that is not one process.
  virtual std::uint64_t rss_peak_bytes() { return 0; }
  // Of the same, now.
  virtual std::uint64_t rss_bytes() { return 0; }

  virtual void stop() = 0;

  // A session with the sink, for the eyes of a reader. `sql` gives one value, of `number` as $1; it
  // is prepared once as long as it stays the same.
  virtual std::string look(const std::string& sql, std::uint64_t number) = 0;
  // What the sink holds; after stop().
  virtual Fingerprints found() = 0;
};

class Contender {
 public:
  virtual ~Contender() = default;

  // Unique among those of a bench run, such as "headgate > postgres".
  virtual std::string name() const = 0;
  // `prepared` must outlive the run.
  virtual std::unique_ptr<Run> prepare(PreparedWorkload& prepared) const = 0;
};

struct HeadgateToPostgresOptions {
  std::string name = "headgate > postgres";
  std::string decoding_work_mem{};
  bool synchronous_commit = true;
  // Round trip to the sink that is added, in milliseconds; nothing: no gate at all.
  std::optional<double> round_trip{};
};
std::unique_ptr<Contender> headgate_to_postgres(HeadgateToPostgresOptions options = {});

std::unique_ptr<Contender> headgate_to_sqlite();

// CREATE SUBSCRIPTION, with synchronous_commit as it is by default (off) or on.
std::unique_ptr<Contender> subscription(bool synchronous_commit);

// A loop that writes to SQLite what Headgate would: the last state of each key in every thousand
// transactions, sorted, by prepared statements, and nothing else. The rows wait decoded in memory,
// so nobody is read from meanwhile: a floor, no product.
std::unique_ptr<Contender> sqlite_loop();

// Of w1's table, already filled, into PostgreSQL: a subscription with copy_data, Headgate by both
// of its methods, and COPY from one psql to another. All but Headgate find the empty table, with
// its key, in the sink.
std::vector<std::unique_ptr<Contender>> first_copies();

// CPU seconds of those server processes that work for a run.
double walsender_cpu(PreparedWorkload& prepared, const std::string& slot);
double sink_server_cpu(PreparedWorkload& prepared, const std::string& database);

}  // namespace headgate::bench
