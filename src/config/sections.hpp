// One function per section of the file. Each asks for all keys of its section, whatever their
// values, since a key that is not asked for is an unknown one; each fills its part of the Config
// and turns every mistake into a finding.

#pragma once

#include "config/config.hpp"
#include "config/section.hpp"

namespace headgate::config {

// REQUIRES: `config.pipeline` was read; slot and publication are named after it by default.
void read_source(const Section& root, Config& config);

// `tables`, and what is said about all of them: keyless, new_tables, schema_changes, isolation.
void read_tables(const Section& root, Config& config);

void read_limits(const Section& root, Config& config);

// REQUIRES: read_limits was called; one batch must fit into the memory.
void read_cdc(const Section& root, Config& config);
void read_snapshot(const Section& root, Config& config);

// REQUIRES: read_source was called; a sink onto the source's own tables is refused.
void read_sinks(const Section& root, Config& config);

void read_skills(const Section& root);
void read_errors(const Section& root);
void read_storage(const Section& root, Config& config);

void read_http(const Section& root, Config& config);
void read_alerts(const Section& root);
void read_logging(const Section& root, Config& config);

}  // namespace headgate::config
