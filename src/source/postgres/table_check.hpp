// What our user and a table's owner must have done so that the captured tables can be read, and
// their changes be told.

#pragma once

#include "db/pq/connection.hpp"
#include "pipeline/finding.hpp"
#include "source/postgres/selection.hpp"

namespace headgate::source::postgres {

// Rights: each table readable; with `copies` (rows will be read, not only changes) also none that
// row security would keep rows of to itself.
Findings check_rights(pq::Connection& connection, const Selection& selection, bool copies);

// One warning per table whose updates and deletes are not mirrored, with why it has no usable key
// and the statement that gives it one.
Findings check_keyless(pq::Connection& connection, const Selection& selection);

}  // namespace headgate::source::postgres
