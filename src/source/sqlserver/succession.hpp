// Which of a table's capture instances is read behind a position, and where the next one takes
// over.
//
// A table has up to two. While both are there both record every change, so that any LSN from the
// newer one's start on will do to go over from one to the other, as long as everything up to it
// comes from the older one and everything behind it from the newer. We take the earliest: what a
// column holds that only the newer one has is known from there on. Nothing but a position is needed
// to tell the two apart again after a restart, since every instance says itself from where on it
// holds everything.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/lsn.hpp"
#include "core/schema.hpp"
#include "source/sqlserver/capture_instances.hpp"

namespace headgate::source::sqlserver {

// What a sink remembers (as TableSchema::source_note) of the instance that its rows came from.
struct InstanceNote {
  std::int64_t change_table = 0;
  LSN since;                // where the first instance began that was followed for the table
  std::string create_date;  // of the change table; empty in notes of earlier versions
};
std::string to_note(const InstanceNote& note);
// Nothing when it is none of ours.
std::optional<InstanceNote> parse_note(const std::string& note);

// A table that is followed, as far as it is known from the sinks or from this process.
struct FollowedTable {
  TableName name;

  // Changes before this one are none of ours: where the first instance began that was followed. It
  // tells a table that was enabled behind our position, whose instance has lost nothing, from one
  // whose changes were cleaned up. None while the only instance has no start yet.
  std::optional<LSN> since;

  // What somebody who stands at `reached` or behind it holds rows of. An older instance that lacks
  // some of the columns is not for them: they would lose what is in those.
  struct Held {
    std::int64_t change_table = 0;
    std::string create_date;
    std::vector<std::uint32_t> columns;  // ids
    LSN reached;
  };
  std::vector<Held> held;
};

// The first LSN of the table that is still needed by who stands at `position`.
LSN first_needed(const FollowedTable& table, const LSN& position);

// Nothing that was committed from `needed` on is missing in an instance that begins there. False
// also where nothing was committed between the two: clean-up takes the commits along that would
// show it, in an order that is not documented, and a false alarm costs less than a gap.
bool reaches_back(const std::optional<LSN>& start_lsn, const LSN& needed);

struct InstanceChoice {
  std::size_t place = 0;  // among the table's instances
  std::optional<LSN> to;  // the last LSN to be read from it: a newer one begins behind it
};

// The newest of `instances` (all of one table, from the oldest to the newest) that still holds
// everything behind `position`. None when there is no such instance: changes are lost.
std::optional<InstanceChoice> choose_instance(const CaptureInstances& instances,
                                              const FollowedTable& table, const LSN& position);

// The schema that the changes of `instance` have, with a note for the sinks.
//
// What rows that are in the sinks already have in a column that is new to them is not in the change
// table: kUnknown, but for the columns with an id in `null_before`, which were NULL in all of them.
TableSchemaPtr schema_of(const CaptureInstance& instance, const std::optional<LSN>& since,
                         const std::vector<std::uint32_t>& null_before = {});

// `ddl` is an ALTER TABLE that adds `column` and leaves NULL in it for the rows that are there, as
// far as its text can say. False when in doubt.
bool adds_null_column(const std::string& ddl, const std::string& column);
// `ddl` names `column`, or may do so.
bool mentions(const std::string& ddl, const std::string& column);

// The columns of the source that came behind the table's newest instance, which no change table
// has.
std::vector<std::string> uncaptured_columns(const CaptureInstance& newest);

// The statement that makes a further instance like `newest` with all columns, under a name that is
// free among `all`.
std::string enable_next_instance(const CaptureInstance& newest, const CaptureInstances& all);
std::string disable_instance(const CaptureInstance& instance);

}  // namespace headgate::source::sqlserver
