#include "gate/spill.hpp"

#include <stdlib.h>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "base/error.hpp"

namespace headgate {
namespace {

// A folder that goes with the test.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "headgate-spill-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }
  bool is_empty() const { return std::filesystem::is_empty(path_); }

 private:
  std::string path_;
};

constexpr std::uint64_t kRoom = std::uint64_t{1} << 30;

std::vector<std::string> read_all(const std::shared_ptr<SpillFile>& file, std::uint64_t from = 0) {
  std::vector<std::string> records;
  std::string_view record;
  SpillReader reader(file, from, file->size(), 100);
  while (reader.next(record)) {
    records.emplace_back(record);
  }
  return records;
}

// Of every size around the buffer's, empty ones and bytes of every value.
std::vector<std::string> records_of_many_sizes() {
  std::vector<std::string> records;
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{100}, SpillFile::kBufferBytes - 4,
        SpillFile::kBufferBytes, SpillFile::kBufferBytes + 1, std::size_t{3} << 20,
        std::size_t{0}}) {
    std::string record(size, '\0');
    for (std::size_t i = 0; i < size; ++i) {
      record[i] = static_cast<char>((i * 31 + size) & 0xFF);
    }
    records.push_back(std::move(record));
  }
  return records;
}

TEST_CASE("a spill file gives back what was put in, in order, and leaves no name behind") {
  const Folder folder;
  SpillSpace space(folder.path(), kRoom);
  {
    const auto file = std::make_shared<SpillFile>(space);
    std::vector<std::string> all;
    std::vector<std::string> last_round;
    std::uint64_t last_from = 0;
    for (int round = 0; round < 20; ++round) {
      last_from = file->size();
      last_round = records_of_many_sizes();
      for (const std::string& record : last_round) {
        file->append(record);
        all.push_back(record);
      }
    }
    CHECK(space.used() > 0);
    CHECK(folder.is_empty());
    CHECK(read_all(file) == all);
    CHECK(read_all(file, last_from) == last_round);
    file->close();
    CHECK(read_all(file, last_from) == last_round);
  }
  CHECK(space.used() == 0);
}

TEST_CASE("what fits the buffer never touches the disk") {
  SpillSpace space("/nonexistent", kRoom);
  const auto file = std::make_shared<SpillFile>(space);
  file->append("one");
  file->append("");
  CHECK(read_all(file) == std::vector<std::string>{"one", ""});
  CHECK(space.used() == 0);
}

TEST_CASE("files share their space, and say which limit is reached") {
  const Folder folder;
  SpillSpace space(folder.path(), 1 << 20);
  SpillFile first(space);
  first.append(std::string(600 * 1024, 'x'));
  SpillFile second(space);
  try {
    second.append(std::string(600 * 1024, 'y'));
    FAIL("more was spilled than the limit allows");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kSystemic);
    CHECK(std::string(error.what()).find("limits.spill_disk") != std::string::npos);
  }
  CHECK(space.used() <= 1 << 20);
}

TEST_CASE("a folder that cannot be written to is named") {
  SpillSpace space("/nonexistent/folder", kRoom);
  SpillFile file(space);
  try {
    file.append(std::string(SpillFile::kBufferBytes, 'x'));
    FAIL("it was written somewhere");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kSystemic);
    CHECK(std::string(error.what()).find("/nonexistent/folder") != std::string::npos);
  }
  CHECK(space.used() == 0);
}

}  // namespace
}  // namespace headgate
