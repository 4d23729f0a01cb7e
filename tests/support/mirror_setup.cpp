#include "support/mirror_setup.hpp"

#include <exception>
#include <stdexcept>
#include <utility>

#include "demo/pg_session.hpp"
#include "support/sqlite_file.hpp"
#include "support/wait_until.hpp"

namespace headgate::test {

namespace {

PipelineConfig pipeline(const demo::ThrowawayCluster& source, const demo::ThrowawayCluster& sink,
                        const std::string& sqlite_path, std::vector<std::string> tables) {
  tables.emplace_back("public.sync_marker");
  PipelineConfig config;
  config.source_dsn = source.conninfo();
  config.tables = std::move(tables);
  config.sinks = {sqlite_sink("file", sqlite_path), postgres_sink("server", sink.conninfo())};
  return config;
}

}  // namespace

MirrorSetup::MirrorSetup(std::vector<std::string> tables)
    : source_({.fsync = false}),
      sink_({.fsync = false}),
      daemon_(folder_, pipeline(source_, sink_, sqlite_path(), std::move(tables))) {
  demo::PgSession(source_.conninfo())
      .execute(
          "CREATE TABLE public.sync_marker (id integer PRIMARY KEY, round bigint NOT NULL);"
          "INSERT INTO public.sync_marker VALUES (1, 0)");
}

void MirrorSetup::catch_up(Duration timeout) {
  const auto round =
      std::stoll(demo::PgSession(source_.conninfo())
                     .value("UPDATE public.sync_marker SET round = round + 1 RETURNING round"));
  try {
    wait_until("both sinks to catch up", timeout, [&] {
      if (!daemon_.running()) {
        throw std::runtime_error("the daemon ended\n" + daemon_.log_end());
      }
      return shown_everywhere(round);
    });
  } catch (const WaitedTooLong& late) {
    throw WaitedTooLong(std::string(late.what()) + "\n" + daemon_.log_end());
  }
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
