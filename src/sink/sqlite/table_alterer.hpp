// Carries over to a table of the sink what the source has done to its own.

#pragma once

#include "db/sqlite/connection.hpp"
#include "pipeline/sink_driver.hpp"
#include "pipeline/table_alteration.hpp"

namespace headgate::sink::sqlite {

// The statements that bring the table of `before` to what `now` describes, as far as that is not
// done yet. Only reads the catalog.
//
// SQLite alters neither types nor keys: then the table is built anew and filled from the old one. A
// column whose values the source printed otherwise afterwards is an obstacle, as are triggers,
// views and columns of the sink's own where the table would have to be built anew.
AlterationPlan plan_alteration(db::sqlite::Connection& connection, const SinkConfig& now,
                               const TableRecord& before);

// The statements that make room for `now` in place of the table of `occupant`. Always with an
// obstacle: only a person knows whether every row of the new table is still to come.
AlterationPlan plan_replacement(const SinkConfig& now, const TableRecord& occupant);

}  // namespace headgate::sink::sqlite
