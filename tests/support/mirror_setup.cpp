#include "support/mirror_setup.hpp"

#include <exception>
#include <stdexcept>
#include <utility>

#include "demo/pg_session.hpp"
#include "support/sqlite_file.hpp"

namespace headgate::test {

namespace {

demo::ClusterOptions cluster(const std::vector<std::pair<std::string, std::string>>& settings,
                             bool tcp) {
  return {.settings = settings, .fsync = false, .tcp = tcp};
}

std::unique_ptr<TcpGate> gate_before(const demo::ThrowawayCluster& cluster, bool wanted) {
  return wanted ? std::make_unique<TcpGate>(cluster.port()) : nullptr;
}

// How the daemon gets to `cluster`.
std::string way_to(const demo::ThrowawayCluster& cluster, const TcpGate* gate,
                   const std::string& keywords) {
  return (gate == nullptr ? cluster.conninfo()
                          : "host=127.0.0.1 port=" + std::to_string(gate->port()) +
                                " dbname=postgres user=postgres") +
         (keywords.empty() ? "" : " " + keywords);
}

PipelineConfig pipeline(const std::string& source, const std::string& sink,
                        const std::string& sqlite_path, std::vector<std::string> tables,
                        const MirrorOptions& options) {
  tables.emplace_back("public.sync_marker");
  PipelineConfig config;
  config.source_dsn = source;
  config.tables = std::move(tables);
  config.sinks = {sqlite_sink("file", sqlite_path, options.mirror),
                  postgres_sink("server", sink, options.mirror)};
  config.more = options.more;
  return config;
}

}  // namespace

MirrorSetup::MirrorSetup(std::vector<std::string> tables, const MirrorOptions& options)
    : source_(cluster(options.source_settings, options.gates)),
      sink_(cluster(options.sink_settings, options.gates)),
      source_gate_(gate_before(source_, options.gates)),
      sink_gate_(gate_before(sink_, options.gates)),
      config_(pipeline(way_to(source_, source_gate_.get(), options.source_keywords),
                       way_to(sink_, sink_gate_.get(), options.sink_keywords), sqlite_path(),
                       std::move(tables), options)),
      daemon_(folder_, config_) {
  demo::PgSession(source_.conninfo())
      .execute(
          "CREATE TABLE public.sync_marker (id integer PRIMARY KEY, round bigint NOT NULL);"
          "INSERT INTO public.sync_marker VALUES (1, 0)");
}

void MirrorSetup::catch_up(Duration timeout) {
  const auto round =
      std::stoll(demo::PgSession(source_.conninfo())
                     .value("UPDATE public.sync_marker SET round = round + 1 RETURNING round"));
  daemon_.wait_until("both sinks to catch up", timeout, [&] {
    if (!daemon_.running()) {
      throw std::runtime_error("the daemon ended\n" + daemon_.log_end());
    }
    return shown_everywhere(round);
  });
}

bool MirrorSetup::shown_everywhere(std::int64_t round) const {
  const std::string wanted = std::to_string(round);
  const std::string query = "SELECT round FROM sync_marker WHERE id = 1";
  try {
    return SqliteFile(sqlite_path()).value(query) == wanted &&
           demo::PgSession(sink_.conninfo()).value(query) == wanted;
  } catch (const std::exception&) {
    return false;  // no table yet, or a server that starts
  }
}

std::string MirrorSetup::differences(const std::vector<std::string>& tables) const {
  std::string text;
  const demo::Comparison file =
      demo::compare({source_.conninfo(), tables, demo::SqliteMirror{sqlite_path()}});
  if (!file.equal()) {
    text += "SQLite: " + file.report();
  }
  const demo::Comparison server =
      demo::compare({source_.conninfo(), tables, demo::PostgresMirror{sink_.conninfo(), {}}});
  if (!server.equal()) {
    text += "PostgreSQL: " + server.report();
  }
  return text;
}

}  // namespace headgate::test
