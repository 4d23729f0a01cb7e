// /api/v1/snapshot/…: copies of tables on demand.

#pragma once

#include <functional>

#include "admin/router.hpp"
#include "core/schema.hpp"
#include "pipeline/copy_control.hpp"

namespace headgate {

// POST /api/v1/snapshot/start with {"tables": ["schema.table", …]} (empty or left out: all), and
// POST …/pause, …/resume, …/cancel. 202 when it is done or will be; 400 for a request that is none
// or names a table that is not captured; 409 when it cannot be done now, with the reason.
//
// `control` must outlive the server. `captures` is called on the server's thread.
void add_snapshot_routes(Router& router, CopyControl& control,
                         std::function<bool(const TableName&)> captures);

}  // namespace headgate
