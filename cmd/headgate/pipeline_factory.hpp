// From configuration to objects: the one place that knows every concrete source and sink.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "config/config.hpp"
#include "daemon/supervisor.hpp"
#include "pipeline/capturer.hpp"
#include "pipeline/sink_driver.hpp"
#include "pipeline/transformer.hpp"

namespace headgate {

// Everything of one pipeline that a Supervisor refers to. Connects to nothing yet.
struct PipelineParts {
  struct SinkParts {
    std::string name;
    std::string type;
    std::unique_ptr<SinkDriver> driver;
    std::unique_ptr<Transformer> transformer;
  };

  std::unique_ptr<Source> source;
  std::vector<SinkParts> sinks;

  std::vector<SinkUnit> units() const;
};

// `clock` must outlive the parts.
PipelineParts make_pipeline(const Config& config, const Clock& clock);

SupervisorOptions supervisor_options(const Config& config);

}  // namespace headgate
