// The configuration file is read again while the daemon runs: at SIGHUP, and by `headgate reload`.

#include <csignal>
#include <fstream>
#include <string>

#include <catch2/catch.hpp>

#include "base/error.hpp"
#include "demo/pg_session.hpp"
#include "support/application_load.hpp"
#include "support/mirror_setup.hpp"
#include "support/random_seed.hpp"

using namespace headgate;
using namespace headgate::test;
using namespace std::chrono_literals;

namespace {

// What `sed` would do to the daemon's configuration file.
void edit(const Daemon& daemon, const std::string& from, const std::string& to) {
  std::string text = read_file(daemon.config_path());
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  text.replace(at, from.size(), to);
  std::ofstream(daemon.config_path()) << text;
}

std::uint64_t count(const std::string& text, const std::string& words) {
  std::uint64_t found = 0;
  for (auto at = text.find(words); at != std::string::npos; at = text.find(words, at + 1)) {
    ++found;
  }
  return found;
}

void wait_for(const Daemon& daemon, const std::string& words, std::uint64_t times) {
  daemon.wait_until("the log to say " + words, 60s,
                    [&] { return count(daemon.log(), words) >= times; });
}

}  // namespace

TEST_CASE("a table that comes to the configuration is copied alone, once the file is read again") {
  MirrorSetup setup({"public.first"});
  Daemon& daemon = setup.daemon();
  demo::PgSession source(setup.source().conninfo());
  source.execute(
      "CREATE TABLE public.first (id int PRIMARY KEY, t text);"
      "CREATE TABLE public.second (id int PRIMARY KEY, t text);"
      "INSERT INTO public.first SELECT i, 'a' || i FROM generate_series(1, 100) i;"
      "INSERT INTO public.second SELECT i, 'b' || i FROM generate_series(1, 200) i");
  daemon.start();
  daemon.wait_ready();
  const auto pid = daemon.pid();

  edit(daemon, "public.first", "public.*");
  const demo::RunResult told = daemon.command({"reload"});
  INFO(told.err);
  CHECK(told.status.value().ok());
  wait_for(daemon, "copy read tables=1 rows=200", 1);
  source.execute(
      "UPDATE public.first SET t = 'x' WHERE id < 10; DELETE FROM public.second WHERE id < 5");
  setup.catch_up();
  CHECK(setup.differences({"public.first", "public.second"}) == "");
  CHECK(daemon.pid() == pid);
  CHECK(count(daemon.log(), "table read table=public.first") == 1);
  CHECK(daemon.terminate().ok());
}

TEST_CASE("a file that is wrong is refused with its place, and everything stays as it is") {
  MirrorSetup setup({"public.items"});
  Daemon& daemon = setup.daemon();
  demo::PgSession source(setup.source().conninfo());
  source.execute("CREATE TABLE public.items (id int PRIMARY KEY)");
  daemon.start();
  daemon.wait_ready();
  const std::string right = read_file(daemon.config_path());

  std::ofstream(daemon.config_path(), std::ios::app) << "no_such_key: 1\n";
  ::kill(daemon.pid(), SIGHUP);
  wait_for(daemon, "reload refused", 1);
  CHECK_THAT(daemon.log_end(), Catch::Contains("no_such_key"));
  const demo::RunResult told = daemon.command({"reload"});
  CHECK(told.status.value().code == kExitConfig);
  CHECK_THAT(told.err, Catch::Contains("no_such_key"));

  std::ofstream(daemon.config_path()) << right;
  edit(daemon, "pipeline: test", "pipeline: other");
  ::kill(daemon.pid(), SIGHUP);
  wait_for(daemon, "reload refused", 2);
  CHECK_THAT(daemon.log_end(), Catch::Contains("restart the daemon"));
  CHECK(daemon.command({"reload"}).status.value().code == kExitConfig);

  std::ofstream(daemon.config_path()) << right;
  source.execute("INSERT INTO public.items VALUES (1), (2)");
  setup.catch_up();
  CHECK(setup.differences({"public.items"}) == "");
  CHECK(count(daemon.log(), "sink connected") == 2);
  CHECK(daemon.terminate().ok());
}

TEST_CASE("reloads under load lose nothing, and a stop in the middle of one is a stop") {
  const std::uint64_t seed = random_seed("reload");
  INFO("HEADGATE_SEED=" << seed);
  MirrorSetup setup(ApplicationLoad::patterns());
  Daemon& daemon = setup.daemon();
  ApplicationLoad load(setup.source().conninfo(), setup.folder().path("pgbench.log"), seed);
  daemon.start();
  daemon.wait_ready();
  MirrorReaders readers(setup.sink().conninfo(), setup.sqlite_path());
  load.start();
  constexpr std::uint64_t kReloads = 6;
  for (std::uint64_t i = 1; i <= kReloads; ++i) {
    load.run_for(100);
    ::kill(daemon.pid(), SIGHUP);
    wait_for(daemon, "headgate started", 1 + i);
  }
  load.run_for(100);
  load.stop();
  setup.catch_up();
  CHECK(setup.differences(ApplicationLoad::tables()) == "");
  std::string last_error;
  CHECK(readers.finish(last_error) > 0);
  INFO(last_error);
  CHECK(readers.violations() == "");
  ::kill(daemon.pid(), SIGHUP);
  CHECK(daemon.terminate().ok());
}
