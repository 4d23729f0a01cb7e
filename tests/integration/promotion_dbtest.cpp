// The source fails over: a standby is promoted and goes on under a timeline of its own.
//
// One cluster plays both servers: stopped, started as a standby of nobody, and promoted. To the
// daemon that looks like a promoted standby that had received everything and whose slot was
// synchronised, which before PostgreSQL 17 takes an extension or a copy by hand.

#include <fstream>
#include <string>

#include <catch2/catch.hpp>

#include "demo/pg_session.hpp"
#include "support/mirror_setup.hpp"
#include "support/sqlite_file.hpp"

using namespace headgate::demo;
using namespace headgate::test;
using namespace std::chrono_literals;

namespace {

class Promoted : public MirrorSetup {
 public:
  Promoted() : MirrorSetup({"public.items"}) {
    on_source("CREATE TABLE public.items (id integer PRIMARY KEY, t text)");
    on_source("INSERT INTO public.items SELECT n, 'before' FROM generate_series(1, 100) n");
    daemon().start();
    daemon().wait_ready();
    catch_up();
  }

  void on_source(const std::string& sql) { PgSession(source().conninfo()).execute(sql); }

  // A server in recovery, which may last.
  void become_standby() {
    if (source().running()) {
      source().stop();
    }
    std::ofstream(source().folder() + "/data/standby.signal");
    source().start();
  }
  void promote() {
    become_standby();
    on_source("SELECT pg_promote()");
  }

  std::string timeline() {
    return PgSession(source().conninfo()).value("SELECT timeline_id FROM pg_control_checkpoint()");
  }
  std::string history_in_sink() {
    return PgSession(sink().conninfo())
        .value("SELECT split_part(history, ':', 3) FROM headgate_positions");
  }
};

bool says(const std::string& log, const std::string& words) {
  return log.find(words) != std::string::npos;
}

}  // namespace

TEST_CASE("a running pipeline follows a promoted standby that holds everything") {
  Promoted setup;
  setup.promote();
  setup.on_source("UPDATE public.items SET t = 'after' WHERE id <= 50");
  setup.on_source("INSERT INTO public.items VALUES (1000, 'after')");
  setup.catch_up();
  CHECK(setup.differences({"public.items"}) == "");
  CHECK(setup.history_in_sink() == "2");
  CHECK(says(setup.daemon().log(), "sink follows another history"));
  CHECK(setup.daemon().running());
}

// Whoever names both servers, or a name that moves, meets the standby before it is promoted.
TEST_CASE("a source that is still a standby is waited for, by a running and by a new process") {
  Promoted setup;
  const bool running = GENERATE(true, false);
  if (!running) {
    CHECK(setup.daemon().terminate().ok());
  }
  setup.become_standby();
  const std::size_t said = setup.daemon().log().size();
  if (!running) {
    setup.daemon().start();
  }
  setup.daemon().wait_until("the daemon to name the standby", 30s, [&] {
    return setup.daemon().log().find("the server is a standby", said) != std::string::npos;
  });
  setup.on_source("SELECT pg_promote()");
  setup.on_source("INSERT INTO public.items VALUES (1000, 'after')");
  setup.catch_up();
  CHECK(setup.differences({"public.items"}) == "");
}

TEST_CASE("a pipeline that was stopped meanwhile goes on as well, twice") {
  Promoted setup;
  CHECK(setup.daemon().terminate().ok());
  setup.on_source("UPDATE public.items SET t = 'while down' WHERE id <= 50");
  setup.promote();
  setup.promote();
  setup.on_source("DELETE FROM public.items WHERE id > 90");
  setup.daemon().start();
  setup.catch_up();
  CHECK(setup.differences({"public.items"}) == "");
  CHECK(setup.history_in_sink() == "3");
}

// As if the old primary's last commits had never reached the standby: the sink is set ahead of the
// place where the new timeline begins.
TEST_CASE("a sink that holds more than the promoted standby is said to, and nothing is written") {
  Promoted setup;
  CHECK(setup.daemon().terminate().ok());
  setup.promote();
  PgSession(setup.sink().conninfo())
      .execute("UPDATE headgate_positions SET position = '0x00000000FFFFFFF0'");
  setup.on_source("INSERT INTO public.items VALUES (1000, 'after')");
  setup.daemon().start();
  CHECK(setup.daemon().wait_exit().code == 76);
  CHECK(says(setup.daemon().log(), "promoted (timeline 2) without all that sink"));
  CHECK(PgSession(setup.sink().conninfo())
            .value("SELECT count(*) FROM public.items WHERE id = 1000") == "0");
}
