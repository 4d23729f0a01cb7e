// /health, /ready and /api/v1/status: what a supervisor, a load balancer and a person ask first.

#pragma once

#include "admin/router.hpp"
#include "pipeline/status_report.hpp"

namespace headgate {

// `provider` is called on the server's thread, once for each request to /ready and /api/v1/status.
void add_status_routes(Router& router, StatusProvider provider);

}  // namespace headgate
