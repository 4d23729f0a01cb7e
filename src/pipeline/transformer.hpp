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

  // True when `transaction` describes a table otherwise than transform() has seen it last, or one
  // that it has not seen: it then begins a batch, so that what may have to wait holds nothing up
  // that came before it.
  virtual bool alters_tables(const Transaction&) const { return false; }

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
