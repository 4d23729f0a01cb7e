// With PostgreSQL sinks only, values travel in binary. What has no binary form that we can print
// makes the stream fall back to text, without a loss.

#include <string>

#include <catch2/catch.hpp>

#include "demo/compare.hpp"
#include "demo/pg_session.hpp"
#include "demo/throwaway_cluster.hpp"
#include "support/daemon.hpp"
#include "support/temp_dir.hpp"
#include "support/wait_until.hpp"

using namespace headgate::demo;
using namespace headgate::test;
using namespace std::chrono_literals;

namespace {

constexpr const char* kValues = R"sql(
INSERT INTO public.values VALUES
  (1, true, -32768, -2147483648, -9223372036854775808, '-0', 'NaN', 12345.678900, 'x', 'ab', '\x00ff',
   '0044-03-15 BC', '24:00:00', '294276-12-31 23:59:59.999999', 'infinity',
   '6b4c2f0e-6f3b-4f2a-9a43-0d8f5d2f9a10', '{"a": [1, null]}', '{"b":  2}'),
  (2, false, 32767, 2147483647, 9223372036854775807, '3.4028235e38', '-Infinity', 'NaN', '', '', '',
   '-infinity', '00:00:00.000001', '0001-01-01 00:00:00', '1900-01-01 00:00:00+00:53:28', NULL,
   'null', '[]'),
  (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
   NULL);
INSERT INTO public.values (id, n) SELECT i, (i::numeric / 7) FROM generate_series(10, 2000) i;
UPDATE public.values SET n = -n, t = 'updated' WHERE id % 3 = 0;
UPDATE public.values SET id = id + 100000 WHERE id % 5 = 0;
DELETE FROM public.values WHERE id % 7 = 0;
)sql";

}  // namespace

TEST_CASE("binary values arrive as they were, and a type without a binary form turns to text") {
  const TempDir folder;
  ThrowawayCluster source;
  ThrowawayCluster sink;
  PgSession(source.conninfo())
      .execute(
          "CREATE TABLE public.values (id integer PRIMARY KEY, b boolean, s smallint, i integer, "
          "l bigint, r real, d double precision, n numeric, t text, c character(6), y bytea, "
          "day date, tm time, ts timestamp, tz timestamptz, u uuid, jb jsonb, j json)");
  PgSession(source.conninfo()).execute("INSERT INTO public.values (id, n) VALUES (-1, 1.10)");
  PipelineConfig config;
  config.source_dsn = source.conninfo();
  config.tables = {"public.*"};
  config.sinks = {postgres_sink("report", sink.conninfo())};
  Daemon daemon(folder, config);
  daemon.start();
  daemon.wait_ready();
  const auto binary_stream = [&] {
    // The option is in the walsender's last command; a real one, not our word for it.
    return PgSession(source.conninfo())
        .value(
            "SELECT query LIKE '%binary ''true''%' FROM pg_stat_activity "
            "WHERE backend_type = 'walsender'");
  };
  CHECK(binary_stream() == "t");
  const auto equal = [&] {
    return compare({source.conninfo(), {"public.values"}, PostgresMirror{sink.conninfo(), ""}, 5})
        .equal();
  };
  PgSession(source.conninfo()).execute(kValues);
  wait_until("binary values", 60s, equal);

  // An array has no binary form here. The sink needs the column too: changes of schema are not
  // applied yet.
  PgSession(sink.conninfo()).execute("ALTER TABLE public.values ADD COLUMN a integer[]");
  PgSession(source.conninfo())
      .execute(
          "ALTER TABLE public.values ADD COLUMN a integer[];"
          "INSERT INTO public.values (id, a) VALUES (-2, '{1,NULL,3}')");
  wait_until("the array", 60s, equal);
  CHECK(binary_stream() == "f");
  PgSession(source.conninfo()).execute("UPDATE public.values SET n = n + 1, a = '{}'");
  wait_until("the last update", 60s, equal);
  CHECK(daemon.terminate().ok());
}
