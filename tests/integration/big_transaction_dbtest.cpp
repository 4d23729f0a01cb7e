// One transaction that is far larger than the memory the pipeline may take (I8): it is still
// applied as one (I1).
//
// HEADGATE_BIG_ROWS sets its size; ten million with the long tests.

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>

#include <catch2/catch.hpp>

#include "demo/pg_session.hpp"
#include "support/mirror_setup.hpp"
#include "support/sqlite_file.hpp"

using namespace headgate::demo;
using namespace headgate::test;
using namespace std::chrono_literals;

namespace {

long long rows_wanted() {
  const char* wanted = std::getenv("HEADGATE_BIG_ROWS");
  if (wanted != nullptr) {
    return std::stoll(wanted);
  }
  return std::getenv("HEADGATE_TEST_FULL") == nullptr ? 400'000 : 10'000'000;
}

// The most memory that a process has ever had, in MiB.
long peak_mebibytes(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with("VmHWM:")) {
      return std::stol(line.substr(6)) / 1024;
    }
  }
  return 0;
}

}  // namespace

TEST_CASE("a transaction far larger than the memory limit is applied whole, and within the limit") {
  const bool large = rows_wanted() > 1'000'000;
  const int limit = large ? 256 : 96;
  MirrorOptions options;
  options.more = "limits: { memory: " + std::to_string(limit) + "MiB }\n";
  // The server streams it while it runs, and would otherwise keep it on its own disk.
  options.source_settings = {{"logical_decoding_work_mem", "8MB"}, {"max_wal_size", "8GB"}};
  MirrorSetup setup({"public.items"}, options);
  PgSession source(setup.source().conninfo());
  source.execute("CREATE TABLE public.items (id bigint PRIMARY KEY, n integer, t text)");
  setup.daemon().start();
  setup.daemon().wait_ready();
  setup.catch_up();

  const std::string rows = std::to_string(rows_wanted());
  source.execute(
      "BEGIN; INSERT INTO public.items SELECT i, i, repeat('x', 60) || i FROM "
      "generate_series(1, " +
      rows + ") i; UPDATE public.items SET n = -n WHERE id % 10 = 0; COMMIT");
  SqliteFile file(setup.sqlite_path());
  PgSession server(setup.sink().conninfo());
  const auto all_or_nothing = [&](const std::string& count) {
    return count == "0" || count == rows;
  };
  setup.daemon().wait_until("the rows to be in both sinks", 20min, [&] {
    const std::string in_file = file.value("SELECT count(*) FROM items");
    const std::string in_server = server.value("SELECT count(*) FROM public.items");
    CHECK(all_or_nothing(in_file));
    CHECK(all_or_nothing(in_server));
    return in_file == rows && in_server == rows;
  });
  const long peak = peak_mebibytes(setup.daemon().pid());
  std::cout << "rows " << rows << ", peak memory " << peak << " MiB of " << limit << '\n';
  CHECK(peak > 0);
  CHECK(peak <= limit);
  setup.catch_up();
  CHECK(setup.differences({"public.items"}) == "");
}
