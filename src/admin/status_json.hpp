// A StatusReport as JSON: the content of /api/v1/status. README.md in this folder lists the keys;
// they are public, so one may be added, and none is renamed or removed.

#pragma once

#include <boost/json/object.hpp>

#include "pipeline/status_report.hpp"

namespace headgate {

boost::json::object status_json(const StatusReport& report);

// The body of /api/v1/tables: what each sink remembers of its tables.
boost::json::object tables_json(const StatusReport& report);

}  // namespace headgate
