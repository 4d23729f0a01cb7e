// What connect() refuses, makes and waits for.

#include <fcntl.h>
#include <unistd.h>
#include <filesystem>
#include <fstream>

#include <catch2/catch.hpp>

#include "sink/sqlite/database_file.hpp"
#include "sqlite_fixture.hpp"

namespace headgate::sink::sqlite::test {
namespace {

Error error_at(const std::string& path) {
  const StillClock clock;
  SqliteSink sink(Options{"shop", "business", path}, clock, make_logger("test"));
  return error_of([&] { sink.connect(); });
}

// Root may write everywhere. For as long as this lives, we are somebody else.
class OtherUser {
 public:
  OtherUser() : was_root_(geteuid() == 0) {
    if (was_root_) {
      REQUIRE(seteuid(65534) == 0);
    }
  }
  ~OtherUser() {
    if (was_root_ && seteuid(0) != 0) {
      std::terminate();
    }
  }
  OtherUser(const OtherUser&) = delete;
  OtherUser& operator=(const OtherUser&) = delete;

 private:
  bool was_root_;
};

TEST_CASE("a new file becomes a database in WAL mode with our tables") {
  Fixture fixture;
  CHECK(fixture.value("SELECT journal_mode FROM pragma_journal_mode") == "'wal'");
  CHECK(fixture.rows("SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND name "
                     "LIKE 'headgate%'"
                     " ORDER BY name") ==
        Strings{"'headgate_applied'|1", "'headgate_positions'|1", "'headgate_tables'|1"});
  CHECK(fixture.value("SELECT application_id FROM pragma_application_id") == "0");
}

TEST_CASE("a database that another program made is used as it is") {
  const Folder folder;
  const StillClock clock;
  {
    db::sqlite::Connection other(folder.file("a.db"));
    other.execute(
        "CREATE TABLE notes (n); INSERT INTO notes VALUES (1); PRAGMA application_id = 7");
  }
  SqliteSink sink(Options{"shop", "business", folder.file("a.db")}, clock, make_logger("test"));
  sink.connect();
  sink.disconnect();
  db::sqlite::Connection other(folder.file("a.db"));
  CHECK(other.query_integer("SELECT n FROM notes") == 1);
  CHECK(other.query_integer("PRAGMA application_id") == 7);
}

TEST_CASE("a missing folder is named, with the command that makes it") {
  const Error error = error_at("/tmp/headgate-no-such-folder/sink.db");
  CHECK(error.kind() == ErrorKind::kOperator);
  CHECK_THAT(error.what(), Catch::Contains("/tmp/headgate-no-such-folder does not exist"));
  CHECK_THAT(error.hint(), Catch::Contains("mkdir -p"));
}

TEST_CASE("a folder that cannot be written is refused") {
  const Folder folder;
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0555));
  const OtherUser other;
  const Error error = error_at(folder.file("sink.db"));
  CHECK(error.kind() == ErrorKind::kOperator);
  CHECK_THAT(error.what(), Catch::Contains("is not writable: Permission denied"));
}

// SQLite would open it for reading and only fail at the first write.
TEST_CASE("a file that cannot be written is refused") {
  const Folder folder;
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0777));
  std::ofstream(folder.file("sink.db")).flush();
  std::filesystem::permissions(folder.file("sink.db"), std::filesystem::perms(0444));
  const OtherUser other;
  const Error error = error_at(folder.file("sink.db"));
  CHECK(error.kind() == ErrorKind::kOperator);
  CHECK_THAT(error.what(), Catch::Contains("the file is not writable"));
}

TEST_CASE("what is no database file is refused") {
  const Folder folder;
  CHECK_THAT(error_at(folder.path()).what(), Catch::Contains("it is not a file"));
  CHECK_THAT(error_at("").what(), Catch::Contains("it is empty"));

  std::ofstream(folder.file("text.db")) << std::string(4096, 'x');
  const Error error = error_at(folder.file("text.db"));
  CHECK(error.kind() == ErrorKind::kOperator);
  CHECK_THAT(error.what(), Catch::Contains("not a database"));
}

TEST_CASE("a database in UTF-16 is refused") {
  const Folder folder;
  {
    db::sqlite::Connection other(folder.file("a.db"));
    other.execute("PRAGMA encoding = 'UTF-16'; CREATE TABLE t (a)");
  }
  const Error error = error_at(folder.file("a.db"));
  CHECK(error.kind() == ErrorKind::kOperator);
  CHECK_THAT(error.what(), Catch::Contains("UTF-16"));
}

TEST_CASE("network file systems are known by their magic numbers") {
  CHECK(network_file_system(0x6969) == "NFS");
  CHECK(network_file_system(0xFF534D42) == "CIFS");
  CHECK(network_file_system(0xFFFFFFFFFF534D42) == "CIFS");  // sign-extended
  CHECK(network_file_system(0xFE534D42) == "SMB2");
  CHECK(network_file_system(0x01021997) == "9p");
  CHECK_FALSE(network_file_system(0xEF53));      // ext4
  CHECK_FALSE(network_file_system(0x58465342));  // xfs
  CHECK_FALSE(network_file_system(0x01021994));  // tmpfs
  CHECK_FALSE(network_file_system(0x794C7630));  // overlayfs
}

TEST_CASE("the second process waits and is told who is there") {
  Fixture fixture;
  const auto second = fixture.make_sink();
  const Error error = error_of([&] { second->connect(); });
  CHECK(error.kind() == ErrorKind::kLocked);
  CHECK_THAT(error.what(), Catch::Contains(fixture.path() + ".headgate.lock") &&
                               Catch::Contains("process " + std::to_string(getpid())));

  fixture.sink->disconnect();
  CHECK(std::filesystem::exists(fixture.path() + ".headgate.lock"));
  CHECK(second->connect().epoch == 2);
}

TEST_CASE("two names of one file take one lock") {
  Fixture fixture;
  std::filesystem::create_symlink(fixture.path(), fixture.folder.file("alias.db"));
  CHECK(error_at(fixture.folder.file("alias.db")).kind() == ErrorKind::kLocked);
}

TEST_CASE("the lock does not leak into programs that we start") {
  Fixture fixture;
  bool found = false;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code failure;
    const auto target = std::filesystem::read_symlink(entry.path(), failure);
    if (target == fixture.path() + ".headgate.lock") {
      found = true;
      CHECK((fcntl(std::stoi(entry.path().filename()), F_GETFD) & FD_CLOEXEC) != 0);
    }
  }
  CHECK(found);
}

// A failed connect() must not keep the lock, or the next attempt would wait for itself.
TEST_CASE("a connect that fails gives the lock back") {
  Fixture fixture;
  fixture.sink->disconnect();
  fixture.execute("BEGIN IMMEDIATE");
  CHECK(kind_of_error([&] { fixture.sink->connect(); }) == ErrorKind::kTransient);
  fixture.execute("COMMIT");
  CHECK(fixture.make_sink()->connect().epoch == 2);
}

TEST_CASE("check() looks and changes nothing, also while the sink is in use") {
  Fixture fixture;
  fixture.sink->begin();
  fixture.sink->commit(mark_at(7));
  const auto looking = fixture.make_sink();
  Findings findings;
  const SinkPosition found = looking->check(findings);
  CHECK(found.position == position_at(7));
  CHECK(found.epoch == 1);
  CHECK_THAT(findings.at(0).what, Catch::Contains("in WAL mode"));
  fixture.sink->begin();  // nobody took over
  fixture.sink->rollback();
}

TEST_CASE("check() says what connect() would do or refuse") {
  const Folder folder;
  const StillClock clock;
  const auto findings_at = [&](const std::string& path) {
    SqliteSink sink(Options{"shop", "business", path}, clock, make_logger("test"));
    Findings findings;
    CHECK(sink.check(findings).position.empty());
    REQUIRE(findings.size() == 1);
    return findings[0];
  };
  CHECK_THAT(findings_at(folder.file("new.db")).what, Catch::Contains("will be made"));
  CHECK_FALSE(std::filesystem::exists(folder.file("new.db")));

  { db::sqlite::Connection(folder.file("a.db")).execute("CREATE TABLE t (a)"); }
  const Finding other = findings_at(folder.file("a.db"));
  CHECK(other.level == Finding::Level::kOk);
  CHECK_THAT(other.what, Catch::Contains("becomes wal instead of delete"));

  const Finding missing = findings_at("/tmp/headgate-no-such-folder/sink.db");
  CHECK(missing.level == Finding::Level::kError);
  CHECK_THAT(missing.what, Catch::StartsWith("sink business: "));
  CHECK_THAT(missing.remedy, Catch::Contains("mkdir -p"));
}

TEST_CASE("every call is safe in every state") {
  Fixture fixture;
  fixture.sink->rollback();
  fixture.sink->begin();
  fixture.sink->rollback();
  fixture.sink->rollback();
  fixture.sink->begin();
  fixture.sink->disconnect();
  fixture.sink->disconnect();
  fixture.sink->rollback();
  CHECK(fixture.sink->connect().epoch == 2);
  CHECK(fixture.sink->connect().epoch == 3);  // without disconnect(), too
}

}  // namespace
}  // namespace headgate::sink::sqlite::test
