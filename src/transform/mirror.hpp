// Mirror mode: each captured table is kept as the same table in the sink.

#pragma once

#include <map>
#include <string>
#include <unordered_map>

#include "pipeline/transformer.hpp"
#include "transform/mirror_options.hpp"

namespace headgate {

// How the sink names tables.
enum class SinkNaming {
  kSchemas,  // schema.table
  kFlat,  // no schemas: `public` and `dbo` tables under their bare name, others as "schema.table"
};

// Not thread-safe; one per sink.
class Mirror final : public Transformer {
 public:
  Mirror(MirrorOptions options, SinkNaming naming)
      : options_(std::move(options)), naming_(naming) {}

  void transform(const TransformContext& context, const Transaction& transaction,
                 const BatchContext& batch, DataSet& out) override;
  bool alters_tables(const Transaction& transaction) const override;

 private:
  const SinkConfigPtr& config_for(const TransformContext& context, const TableSchemaPtr& schema);
  TableName target_name(const TableName& source) const;
  void claim(const TableName& target, const std::string& id, const TableName& source);

  MirrorOptions options_;
  SinkNaming naming_;

  // The newest version of each table, and which objects of the source are known to describe it:
  // equal descriptions come in several objects (one per connection, one for the copy).
  struct Target {
    SinkConfigPtr config;
    TableSchemaPtr described_by;
  };
  std::map<std::string, Target> targets_;  // by record_id()
  // By the object that describes it now (`described_by`, which keeps it alive): no name is put
  // together for a table that is known.
  std::unordered_map<const TableSchema*, const Target*> described_;

  // By the sink's name: which table of the source is there.
  struct Claim {
    std::string id;
    TableName source;
  };
  std::map<TableName, Claim> claims_;
};

}  // namespace headgate
