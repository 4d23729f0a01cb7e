// The model of a disk, and that SQLite's files lie on it: what the crash sweep stands on.

#include "crash_disk.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>

#include <catch2/catch.hpp>
#include <sqlite3.h>

#include "db/sqlite/connection.hpp"
#include "db/sqlite/statement.hpp"
#include "power_cut_vfs.hpp"
#include "sqlite_fixture.hpp"

namespace headgate::sink::sqlite::test {
namespace {

using Keep = PowerCut::Keep;

// What hundreds of power cuts make of one file; "(gone)" where it is not there.
std::set<std::string> outcomes(const Disk& disk, const std::string& name = "file") {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    const auto files = disk.after({Keep::kSome, seed}).files();
    seen.insert(files.count(name) > 0 ? files.at(name) : "(gone)");
  }
  return seen;
}

// Whole sectors of one letter each, two bytes long.
Disk disk_with(const std::string& content) {
  Disk disk({.sector_bytes = 2});
  disk.add_durable("file", content);
  return disk;
}

TEST_CASE("what was synced survives every power cut") {
  Disk disk({.sector_bytes = 2});
  const auto file = disk.create("file");
  disk.write(file, 0, "aabbcc");
  disk.truncate(file, 4);
  disk.sync(file);
  disk.sync_folder();
  CHECK(outcomes(disk) == std::set<std::string>{"aabb"});
  CHECK(disk.after({Keep::kNothing}).files().at("file") == "aabb");
}

TEST_CASE("of what was not synced, a power cut leaves nothing, all, or any of it") {
  Disk disk = disk_with("aabbcc");
  const auto file = *disk.find("file");
  disk.write(file, 0, "AA");
  disk.write(file, 4, "CC");
  CHECK(disk.files().at("file") == "AAbbCC");
  CHECK(disk.after({Keep::kNothing}).files().at("file") == "aabbcc");
  CHECK(disk.after({Keep::kAll}).files().at("file") == "AAbbCC");
  const auto seen = outcomes(disk);
  for (const char* possible : {"aabbcc", "AAbbcc", "aabbCC", "AAbbCC"}) {
    CHECK(seen.count(possible) == 1);
  }
  // And all of it is then on the disk.
  const Disk after = disk.after({Keep::kAll});
  CHECK(after.after({Keep::kNothing}).files() == disk.files());
}

// The operating system writes its pages back as they are: the second write is never there alone.
TEST_CASE("a sector is from one moment") {
  Disk disk({.sector_bytes = 4});
  const auto file = disk.add_durable("file", "....");
  disk.write(file, 0, "A");
  disk.write(file, 3, "B");
  const auto seen = outcomes(disk);
  CHECK(seen.count("A...") == 1);
  CHECK(seen.count("A..B") == 1);
  CHECK(seen.count("...B") == 0);
}

TEST_CASE("a torn sector loses what was being written, or everything in it") {
  const bool powersafe_overwrite = GENERATE(true, false);
  Disk disk({.sector_bytes = 4, .powersafe_overwrite = powersafe_overwrite});
  const auto file = disk.add_durable("file", "aaaabbbb");
  disk.write(file, 5, "XY");
  bool collateral = false;
  bool torn = false;
  for (const std::string& content : outcomes(disk)) {
    REQUIRE(content.size() == 8);
    CHECK(content.substr(0, 4) == "aaaa");  // no neighbour
    collateral = collateral || content[4] != 'b' || content[7] != 'b';
    torn = torn || (content.substr(5, 2) != "XY" && content.substr(5, 2) != "bb");
  }
  CHECK(torn);
  CHECK(collateral == !powersafe_overwrite);
}

TEST_CASE("a file may have grown without its content, and have its old length with all of it") {
  Disk disk = disk_with("aa");
  disk.write(*disk.find("file"), 2, "bb");
  const auto seen = outcomes(disk);
  CHECK(seen.count("aa") == 1);
  CHECK(seen.count("aabb") == 1);
  CHECK(seen.count(std::string("aa\0\0", 4)) == 1);
}

TEST_CASE("a truncation that was not synced may be undone") {
  Disk disk = disk_with("aabb");
  disk.truncate(*disk.find("file"), 2);
  CHECK(disk.files().at("file") == "aa");
  CHECK(disk.after({Keep::kNothing}).files().at("file") == "aabb");
  CHECK(outcomes(disk).count("aa") == 1);
}

TEST_CASE("a name is durable when its folder was synced, whatever became of the content") {
  Disk disk({.sector_bytes = 2});
  const auto file = disk.create("file");
  disk.write(file, 0, "aa");
  disk.sync(file);
  CHECK(outcomes(disk) == std::set<std::string>{"(gone)", "aa"});
  disk.sync_folder();
  CHECK(outcomes(disk) == std::set<std::string>{"aa"});

  disk.remove("file");
  CHECK_FALSE(disk.find("file").has_value());
  const auto again = disk.create("file");
  disk.write(again, 0, "bb");
  disk.sync(again);
  CHECK(outcomes(disk) == std::set<std::string>{"(gone)", "aa", "bb"});
  disk.sync_folder();
  CHECK(outcomes(disk) == std::set<std::string>{"bb"});
}

// ---- with SQLite on it ----

std::map<std::string, std::string> files_in(const std::string& folder) {
  std::map<std::string, std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path(), std::ios::binary);
    found[entry.path().filename().string()] = {std::istreambuf_iterator<char>(file), {}};
  }
  found.erase("test.db-shm");  // memory
  return found;
}

void fill(db::sqlite::Connection& connection) {
  connection.execute(
      "PRAGMA journal_mode = WAL;"
      "PRAGMA wal_autocheckpoint = 5;"
      "PRAGMA journal_size_limit = 9000;"
      "CREATE TABLE t (a)");
  for (int i = 0; i < 20; ++i) {
    connection.execute("INSERT INTO t VALUES (randomblob(3000))");
  }
}

TEST_CASE("the disk holds what SQLite has written to its files") {
  Folder folder;
  PowerCutVfs vfs;
  vfs.mount(folder.path(), Disk{});
  {
    db::sqlite::Connection connection(folder.file("test.db"));
    fill(connection);
    CHECK(files_in(folder.path()).size() == 2);
    CHECK(vfs.disk().files() == files_in(folder.path()));
  }
  CHECK(files_in(folder.path()).size() == 1);
  CHECK(vfs.disk().files() == files_in(folder.path()));
}

TEST_CASE("a process that has died changes nothing, and leaves a database that opens") {
  Folder folder;
  PowerCutVfs vfs;
  const std::uint64_t last = GENERATE(1U, 7U, 30U, 60U);
  vfs.mount(folder.path(), Disk{});
  int witnessed = 0;
  vfs.die_at(last, [&] { ++witnessed; });
  const auto work = [&] {
    db::sqlite::Connection connection(folder.file("test.db"));
    fill(connection);
  };
  CHECK_THROWS_AS(work(), Error);
  CHECK(vfs.dead());
  CHECK_FALSE(vfs.last_operation().empty());
  const Disk at_death = vfs.disk();
  CHECK_THROWS_AS(work(), Error);
  CHECK(witnessed == 1);
  CHECK(vfs.operations() == last);
  CHECK(vfs.disk().files() == at_death.files());

  vfs.mount(folder.path(), at_death);
  CHECK(files_in(folder.path()) == at_death.files());
  CHECK_FALSE(vfs.dead());
  db::sqlite::Connection connection(folder.file("test.db"));
  CHECK(connection.query_text("PRAGMA integrity_check") == "ok");
}

// Seen from outside, not taken from SQLite's source: a log that nobody finds again is lost.
TEST_CASE("SQLite syncs the folder with a new log") {
  Folder folder;
  PowerCutVfs vfs;
  vfs.mount(folder.path(), Disk{});
  {
    db::sqlite::Connection connection(folder.file("test.db"));
    connection.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (a)");
    connection.execute("INSERT INTO t VALUES (1)");
    const auto left = vfs.disk().after({Keep::kNothing}).files();
    CHECK(left.count("test.db-wal") == 1);
    CHECK(left == vfs.disk().files());
  }
}

// As the disk's model and its default claim.
TEST_CASE("SQLite's own layer relies on powersafe overwrite") {
  Folder folder;
  db::sqlite::Connection connection(folder.file("test.db"));
  sqlite3_file* file = nullptr;
  REQUIRE(sqlite3_file_control(connection.handle(), "main", SQLITE_FCNTL_FILE_POINTER, &file) ==
          SQLITE_OK);
  CHECK((file->pMethods->xDeviceCharacteristics(file) & SQLITE_IOCAP_POWERSAFE_OVERWRITE) != 0);
  CHECK(Device{}.powersafe_overwrite);
}

TEST_CASE("a setting can be fixed, whatever a connection asks for") {
  Folder folder;
  PowerCutVfs vfs;
  vfs.fix_pragma("wal_autocheckpoint", "7");
  db::sqlite::Connection connection(folder.file("test.db"));
  connection.execute("PRAGMA wal_autocheckpoint = 20000");
  CHECK(connection.query_integer("PRAGMA wal_autocheckpoint") == 7);
}

}  // namespace
}  // namespace headgate::sink::sqlite::test
