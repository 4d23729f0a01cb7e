// Mirror rules and skills: from changes of the source to operations on a sink.

#pragma once

#include <span>
#include <string>

#include "core/batch_context.hpp"
#include "core/change.hpp"
#include "pipeline/sink_operation.hpp"

namespace headgate {

struct TransformContext {
  std::string sink;  // the sink's name in the configuration
};

// One per sink, called from that sink's thread only.
class Transformer {
 public:
  virtual ~Transformer() = default;

  // The operations that `changes` become for the sink of `context`, in order. The result may point
  // into the transaction that owns `changes`.
  //
  // Throws Error{kRow} when a change cannot be transformed.
  virtual DataSet transform(const TransformContext& context, const Transaction& transaction,
                            const BatchContext& batch) = 0;
};

}  // namespace headgate
