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
#include "source/postgres/selection.hpp"

namespace headgate::source::postgres {

// A table as a publication publishes it.
struct PublishedTable {
  std::uint32_t oid = 0;
  std::vector<std::string> columns;  // a column list; empty: all
  std::string row_filter;            // SQL condition; empty: all rows
};

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

bool has_publication(pq::Connection& connection, const std::string& name);

// Sinks hold a position.
struct Following {
  // Tables that come now are published, and copied; else they are refused.
  bool copies_new_tables = false;
  // OIDs of the tables that sinks have. One of them that is not published has changed without being
  // in the stream (I7).
  std::set<std::uint32_t> known{};
};

// What has to be done so that `selection` is published under `name`. While `following`, a table
// that is not published yet is a finding where it cannot be copied.
PublicationPlan plan_publications(pq::Connection& connection, const std::string& name,
                                  const Selection& selection,
                                  const std::optional<Following>& following);

// What the two publications of `name`, as they are, do to their tables that nobody can want: make
// the application's own updates fail, or hold two column lists of one table. Names row filters.
Findings check_published(pq::Connection& connection, const std::string& name);

// Runs the statements of `plan`. Throws Error{kOperator} with the statement to be run by an owner
// when this user may not.
void create_publications(pq::Connection& connection, const PublicationPlan& plan);

// The publication of the tables without a usable replica identity.
std::string append_name(const std::string& name);

// The names to ask pgoutput for: those of the two that exist.
std::vector<std::string> publication_names(pq::Connection& connection, const std::string& name);

// What the publications publish now, by table.
std::vector<PublishedTable> published_tables(pq::Connection& connection, const std::string& name);

}  // namespace headgate::source::postgres
