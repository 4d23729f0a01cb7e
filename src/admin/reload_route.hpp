// /api/v1/reload: the configuration file is read again.

#pragma once

#include <functional>

#include "admin/router.hpp"

namespace headgate {

// POST /api/v1/reload. 202 once the file is found to be right and will be in force; 400 with the
// reason when `reload` throws Error, and nothing has changed then.
//
// `reload` is called on the server's thread.
void add_reload_route(Router& router, std::function<void()> reload);

}  // namespace headgate
