#include "pipeline_factory.hpp"

#include <algorithm>
#include <type_traits>
#include <variant>

#include "sink/postgres/postgres_sink.hpp"
#include "sink/sqlite/sqlite_sink.hpp"
#include "source/postgres/postgres_source.hpp"
#include "source/sqlserver/sqlserver_source.hpp"
#include "transform/mirror.hpp"
#include "version.hpp"

namespace headgate {
namespace {

ExistingRows existing_rows(const std::string& policy) {
  if (policy == "replace") return ExistingRows::kReplace;
  if (policy == "keep") return ExistingRows::kKeep;
  return ExistingRows::kRefuse;
}

// A quarter of the memory limit is for the sinks' own caches; more than 48 MiB gains little, since
// the system caches the file as well.
std::size_t cache_bytes(const Config& config) {
  return std::min<std::size_t>(std::size_t{48} << 20,
                               config.memory_limit / 4 / config.sinks.size());
}

PipelineParts::SinkParts make_sink(const SinkSettings& settings, const Config& config,
                                   const Clock& clock) {
  PipelineParts::SinkParts parts;
  parts.name = settings.name;
  MirrorOptions mirror = settings.mirror.value_or(MirrorOptions{});
  mirror.schema_changes = config.schema_changes;
  mirror.isolation = config.isolation;
  const Logger log = make_logger("sink." + settings.name);
  if (const auto* sqlite = std::get_if<sink::sqlite::Options>(&settings.driver)) {
    parts.type = "sqlite";
    sink::sqlite::Options options = *sqlite;
    options.cache_bytes = cache_bytes(config);
    parts.driver = std::make_unique<sink::sqlite::SqliteSink>(std::move(options), clock, log);
    parts.transformer = std::make_unique<Mirror>(mirror, SinkNaming::kFlat);
  } else {
    parts.type = "postgres";
    parts.driver = std::make_unique<sink::postgres::PostgresSink>(
        std::get<sink::postgres::Options>(settings.driver), log);
    parts.transformer = std::make_unique<Mirror>(mirror, SinkNaming::kSchemas);
  }
  return parts;
}

}  // namespace

std::vector<SinkUnit> PipelineParts::units() const {
  std::vector<SinkUnit> list;
  for (const SinkParts& sink : sinks) {
    list.push_back({sink.name, sink.type, sink.driver.get(), sink.transformer.get()});
  }
  return list;
}

PipelineParts make_pipeline(const Config& config, const Clock& clock) {
  PipelineParts parts;
  for (const SinkSettings& sink : config.sinks) {
    parts.sinks.push_back(make_sink(sink, config, clock));
  }
  if (config.sqlserver) {
    source::sqlserver::Options options = *config.sqlserver;
    options.tables = config.source.tables;
    options.poll_interval = config.cdc.interval;
    options.spill_folder = config.storage_dir;
    options.spill_bytes_max = config.source.spill_bytes_max;
    options.gate_bytes_max = config.memory_limit / 4;
    options.copy_rows = config.snapshot.mode == SnapshotMode::kInitial;
    options.copy_new_tables = options.copy_rows && config.copy_new_tables;
    options.ignore_new_tables = !config.copy_new_tables;
    options.chunks.chunk_rows = config.snapshot.copy.chunk_rows;
    options.chunks.bytes_per_second_max = config.snapshot.copy.bytes_per_second_max;
    parts.source = std::make_unique<source::sqlserver::SqlServerSource>(std::move(options), clock,
                                                                        make_logger("source"));
    return parts;
  }
  source::postgres::Options options = config.source;
  // Other sinks would only print binary values again, which the server does better.
  options.binary = std::all_of(parts.sinks.begin(), parts.sinks.end(),
                               [](const auto& sink) { return sink.type == "postgres"; });
  options.spill_folder = config.storage_dir;
  options.copy_rows = config.snapshot.mode == SnapshotMode::kInitial;
  options.copy_in_chunks = options.copy_rows && config.snapshot.in_chunks;
  options.chunks = config.snapshot.copy;
  // What is read ahead would wait for the rate, and be given up with the point.
  options.parallel = options.chunks.bytes_per_second_max > 0 ? 1 : config.snapshot.parallel;
  options.copy_new_tables = options.copy_rows && config.copy_new_tables;
  parts.source =
      std::make_unique<source::postgres::PostgresSource>(options, clock, make_logger("source"));
  return parts;
}

SupervisorOptions supervisor_options(const Config& config) {
  SupervisorOptions options;
  options.pipeline = config.pipeline;
  options.version = version_text();
  options.shutdown_timeout = config.shutdown_timeout;
  options.session.capture.wait_max = config.cdc.interval;
  options.session.queue_transactions_max = config.cdc.max_transactions;
  // Of the memory limit, a quarter waits in queues, shared by the sinks; batches, the fetch under
  // way and the drivers' parameters need the rest.
  options.session.queue_bytes_max = std::max<std::size_t>(
      std::size_t{1} << 20,
      std::min(config.cdc.max_batch_bytes, config.memory_limit / 4 / config.sinks.size()));
  options.session.apply.existing_rows = existing_rows(config.snapshot.existing);
  return options;
}

}  // namespace headgate
