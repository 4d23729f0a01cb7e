// Carries over to a table of the sink what the source has done to its own.

#pragma once

#include "db/pq/connection.hpp"
#include "pipeline/sink_driver.hpp"
#include "pipeline/table_alteration.hpp"

namespace headgate::sink::postgres {

// The statements that bring the table of `before` to what `now` describes, as far as that is not
// done yet. Only reads the catalog.
//
// A column's type is altered without USING, as the source does by default; what gives another
// result here than there (a cast that depends on the session), or what no cast does, is an
// obstacle.
AlterationPlan plan_alteration(pq::Connection& connection, const SinkConfig& now,
                               const TableRecord& before);

// The statements that empty the table of `occupant` and give it the columns of `now`. Always with
// an obstacle: only a person knows whether every row of the new table is still to come.
AlterationPlan plan_replacement(pq::Connection& connection, const SinkConfig& now,
                                const TableRecord& occupant);

}  // namespace headgate::sink::postgres
