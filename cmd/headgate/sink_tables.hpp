// `headgate check`'s look at the tables that will be mirrored, where both sides are needed: whether
// they, or the rows that their first copy brings, are welcome in each sink.

#pragma once

#include <vector>

#include "config/config.hpp"
#include "pipeline/capturer.hpp"
#include "pipeline/finding.hpp"

namespace headgate {

// `stands`: the sinks that hold a position, as in Source::check(). Changes nothing. Throws Error
// when the source or a sink cannot be asked.
Findings check_sink_tables(const Config& config, const std::vector<SinkStand>& stands);

}  // namespace headgate
