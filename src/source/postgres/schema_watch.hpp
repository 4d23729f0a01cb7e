// Notices tables that were altered and have no new rows: the stream describes a table only with its
// next row, which may never come.
//
// The catalog shows what was committed before some place in the log. Once all before that place has
// been handed over, and the table has not been altered again, its description belongs there: later
// rows have it, since altering a table's columns waits for everybody who has changed its rows.

#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/log.hpp"
#include "core/schema.hpp"
#include "source/postgres/session.hpp"

namespace headgate::source::postgres {

// Belongs to one LogicalCapturer. Not thread-safe. Asks the server with a limit on its answers and
// on the locks that it waits for; when that fails, it says so and tries again later.
class SchemaWatch {
 public:
  // `session` must outlive it.
  SchemaWatch(Session& session, Duration interval, Logger log)
      : session_(session), interval_(interval), log_(std::move(log)) {}

  // The stream is new: whatever was altered while nobody looked has yet to be told.
  void reset();

  // Looks at the catalog when it is time to.
  void look(TimePoint now);

  // The descriptions that belong behind what was handed over when that reaches `reached`, an LSN
  // that the server has decoded up to; each is returned once, some at a time. Looks again first.
  std::vector<TableSchemaPtr> due(std::uint64_t reached);

  // Something waits for the server to get so far.
  bool waits() const { return !altered_.empty(); }

 private:
  struct Seen {
    std::string name;
    std::string shape;  // all that a description says
  };

  void read_catalog();
  std::vector<TableSchemaPtr> describe(const std::set<std::uint32_t>& oids);

  Session& session_;
  Duration interval_;
  Logger log_;
  TimePoint next_look_{};
  std::map<std::uint32_t, Seen> seen_;              // by the table's OID
  std::map<std::uint32_t, std::uint64_t> altered_;  // and where in the log that is known to be past
};

}  // namespace headgate::source::postgres
