// Options of mirror mode, per sink. Plain values; config/ fills them.

#pragma once

#include <string>

#include "pipeline/sink_operation.hpp"

namespace headgate {

struct MirrorOptions {
  // The sink's schema for all mirrored tables; empty: each keeps the source's. A sink without
  // schemas (SQLite) keeps `public` tables under their bare name and others as `schema.table`.
  std::string schema;

  // How a TRUNCATE of the source is done to the mirror.
  TruncateMode truncate = TruncateMode::kDelete;

  // Of all sinks of a pipeline.
  SchemaChanges schema_changes = SchemaChanges::kApply;
  Isolation isolation = Isolation::kPipeline;
};

}  // namespace headgate
