// The publications that pgoutput reads from.
//
// `<publication>` carries everything; `<publication>_append` carries the inserts and truncates of
// tables without a usable replica identity. In the first one, such a table would make the
// application's own UPDATE and DELETE fail.

#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "db/pq/connection.hpp"
#include "pipeline/finding.hpp"
#include "source/postgres/publication_catalog.hpp"
#include "source/postgres/selection.hpp"

namespace headgate::source::postgres {

struct PublicationPlan {
  // To run, in order, when something is missing; each with what it is for.
  struct Statement {
    std::string sql;
    std::string purpose;
  };
  std::vector<Statement> missing;
  // What stands in the way and no statement above mends.
  Findings findings;
};

// Sinks hold a position.
struct Following {
  // Tables that come now are published, and copied; else they are refused.
  bool copies_new_tables = false;
  // OIDs of the tables that sinks have. One of them that is not published has changed without being
  // in the stream (I7).
  std::set<std::uint32_t> known{};
};

// What `existing` lacks so that `selection` is published. While `following`, a table that is not
// published yet is a finding where it cannot be copied.
PublicationPlan plan_publications(pq::Connection& connection, const Publications& existing,
                                  const Selection& selection,
                                  const std::optional<Following>& following);

// What the two publications, as they are, do to their tables that nobody can want: make the
// application's own updates fail, or hold two column lists of one table. Names row filters.
Findings check_published(pq::Connection& connection, const Publications& publications);

// Runs the statements of `plan`. Throws Error{kOperator} with the statement to be run by an owner
// when this user may not.
void create_publications(pq::Connection& connection, const PublicationPlan& plan);

}  // namespace headgate::source::postgres
