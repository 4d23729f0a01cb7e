#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <system_error>

#include <fmt/format.h>

#include "config/conninfo.hpp"
#include "config/identifiers.hpp"
#include "config/not_available.hpp"
#include "config/postgres_login.hpp"
#include "config/sections.hpp"

namespace headgate::config {

using namespace std::chrono_literals;

namespace {

// What the sinks so far have taken, each with the sink that did.
struct Taken {
  std::set<std::string> names;
  std::map<std::string, std::string> targets;
};

// Empty for a name that is no good, beside its finding: it may hold anything, so nobody shows it.
std::string read_name(const Section& sink, Taken& taken) {
  const auto name = sink.required_text("name");
  if (!name) {
    return {};
  }
  if (const std::string problem = sink_name_problem(name->value); !problem.empty()) {
    sink.fail("name", fmt::format("{} {}", name->shown, problem));
    return {};
  }
  if (!taken.names.insert(name->value).second) {
    sink.fail("name", fmt::format("{} is the name of an earlier sink too", name->shown));
  }
  return name->value;
}

std::optional<MirrorOptions> read_mirror(const Section& sink) {
  // `mirror` is true, false, or a mapping of options.
  const Section options = sink.section_if_map("mirror");
  if (!options.present() && !sink.flag("mirror", true)) {
    sink.warn("mirror", "false, and skills are not available yet: nothing is written to this sink");
    return std::nullopt;
  }
  MirrorOptions mirror;
  if (const auto schema = options.text("schema")) {
    if (const std::string problem = schema_name_problem(schema->value); !problem.empty()) {
      sink.fail(schema->place, fmt::format("{} {}", schema->shown, problem));
    }
    mirror.schema = schema->value;
  }
  const std::string truncate = options.choice("truncate", "delete", {"delete", "native"});
  mirror.truncate = truncate == "native" ? TruncateMode::kNative : TruncateMode::kDelete;
  return mirror;
}

// The file itself, however its path is written. Nothing is required of the disk here.
std::string canonical(const std::string& path) {
  std::error_code error;
  const std::filesystem::path result =
      std::filesystem::weakly_canonical(std::filesystem::absolute(path, error), error);
  return error ? std::filesystem::path(path).lexically_normal().string() : result.string();
}

void take_target(const Section& sink, std::string_view key, const std::string& target,
                 const std::string& name, Taken& taken) {
  const auto [first, is_new] = taken.targets.emplace(target, name);
  if (!is_new) {
    sink.fail(key, first->second.empty()
                       ? "an earlier sink writes to the same place"
                       : fmt::format("the sink \"{}\" writes to the same place", first->second));
  }
}

void refuse_other_types_key(const Section& sink, std::string_view key, std::string_view type) {
  if (sink.has(key)) {
    sink.fail(key, fmt::format("does not apply to a {} sink", type));
  }
}

sink::sqlite::Options read_sqlite(const Section& sink, const SinkSettings& settings,
                                  const Config& config, Taken& taken) {
  refuse_other_types_key(sink, "dsn", "sqlite");
  refuse_other_types_key(sink, "password_file", "sqlite");
  refuse_other_types_key(sink, "replication_origin", "sqlite");
  sink::sqlite::Options options{config.pipeline, settings.name, {}};
  const auto path = sink.required_text("path");
  if (!path) {
    return options;
  }
  if (path->value == ":memory:" || path->value.starts_with("file:")) {
    sink.fail("path", fmt::format("{} is not the path of a file", path->shown));
  } else {
    take_target(sink, "path", canonical(path->value), settings.name, taken);
  }
  options.path = path->value;
  return options;
}

sink::postgres::Options read_postgres(const Section& sink, const SinkSettings& settings,
                                      const Config& config, Taken& taken) {
  refuse_other_types_key(sink, "path", "postgres");
  PostgresLogin login = read_postgres_login(sink);
  sink::postgres::Options options;
  options.pipeline = config.pipeline;
  options.name = settings.name;
  options.conninfo = std::move(login.conninfo);
  options.password = std::move(login.password);
  if (const auto origin = sink.text("replication_origin")) {
    options.replication_origin = origin->value;
  }
  if (options.conninfo.empty()) {
    return options;
  }
  const std::string schema = settings.mirror ? settings.mirror->schema : "";
  take_target(sink, "dsn", login.database + "\n" + schema, settings.name, taken);
  const Conninfo source = parse_conninfo(config.source.conninfo);
  if (source.problem.empty() && database_identity(source) == login.database && settings.mirror &&
      schema.empty()) {
    sink.fail("dsn", "the source's own database: its tables would be written over",
              "another database, or mirror: { schema: NAME } with a schema that is not captured");
  }
  return options;
}

void read_sink(const Section& sink, Config& config, Taken& taken) {
  SinkSettings settings;
  settings.name = read_name(sink, taken);
  settings.mirror = read_mirror(sink);
  only_default_duration(sink, "stall_after", 30s, {1s, 24h});
  only_null(sink, "migrations", "migrations");

  const auto type =
      sink.required_choice("type", {"sqlite", "postgres", "sqlserver", "mysql", "odbc"});
  if (type == "sqlite") {
    settings.driver = read_sqlite(sink, settings, config, taken);
  } else if (type == "postgres") {
    settings.driver = read_postgres(sink, settings, config, taken);
  } else {
    if (type) {
      sink.fail("type", not_available(fmt::format("{} (only sqlite and postgres)", *type)));
    }
    for (const std::string_view key : {"path", "dsn", "password_file", "replication_origin"}) {
      sink.has(key);
    }
  }
  config.sinks.push_back(std::move(settings));
}

}  // namespace

void read_sinks(const Section& root, Config& config) {
  if (!root.has("sinks")) {
    root.fail("sinks", "missing, and there is no default",
              "sinks: [{ name: copy, type: sqlite, path: ./copy.db }] is the simplest");
  }
  const std::vector<Section> sinks = root.sections("sinks");
  if (root.is_empty_list("sinks")) {
    root.fail("sinks", "no sink is listed",
              "sinks: [{ name: copy, type: sqlite, path: ./copy.db }] is the simplest");
  }
  Taken taken;
  for (const Section& sink : sinks) {
    read_sink(sink, config, taken);
  }
}

}  // namespace headgate::config
