// Mirror rules and skills: from changes of the source to operations on a sink.

#pragma once

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

  // Appends to `out` the operations that the changes of `transaction` become for the sink of
  // `context`, in order, and the output tables of every table involved in it. `out` may point into
  // the transaction afterwards.
  //
  // Throws Error{kRow} when a change cannot be transformed, Error{kOperator} when a table cannot be
  // mapped to the sink.
  virtual void transform(const TransformContext& context, const Transaction& transaction,
                         const BatchContext& batch, DataSet& out) = 0;
};

}  // namespace headgate
