// The life of a Unix socket's file: made, replaced when stale, left alone when it is another's.

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <filesystem>
#include <fstream>
#include <string>

#include <catch2/catch.hpp>

#include "admin/http_server.hpp"
#include "admin/status_routes.hpp"
#include "base/error.hpp"
#include "raw_connection.hpp"
#include "sample_report.hpp"
#include "temporary_folder.hpp"

namespace headgate {
namespace {

namespace fs = std::filesystem;

HttpServer server_at(const std::string& path) {
  HttpServerOptions options;
  options.listen = "unix:" + path;
  Router router;
  add_status_routes(router, sample_report);
  return HttpServer{options, std::move(router)};
}

int health_at(const std::string& path) {
  return status_of(RawConnection{path}.exchange(get_request("/health")));
}

// As a process leaves it that was killed.
void leave_stale_socket(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(static_cast<char*>(address.sun_path), sizeof address.sun_path - 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  REQUIRE(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::listen(fd, 1) == 0);
  ::close(fd);
}

Error failure_at(const std::string& path) {
  HttpServer server = server_at(path);
  try {
    server.start();
  } catch (const Error& error) {
    return error;
  }
  throw std::runtime_error("it listens");
}

TEST_CASE("a Unix socket is there for its group while the server runs, and gone after") {
  const TemporaryFolder folder;
  const auto path = folder.file("control.sock");
  // Neither what others may do by default nor what they may not has a say.
  const mode_t before = ::umask(GENERATE(mode_t{0}, mode_t{0177}));
  HttpServer server = server_at(path);
  server.start();
  ::umask(before);

  struct stat file = {};
  REQUIRE(::lstat(path.c_str(), &file) == 0);
  CHECK(S_ISSOCK(file.st_mode));
  CHECK((file.st_mode & 0777U) == 0660U);
  CHECK(server.port() == 0);
  CHECK(health_at(path) == 200);
  // No browser gets here, so the Host header does not matter.
  CHECK(status_of(RawConnection{path}.exchange(
            "GET /health HTTP/1.1\r\nHost: any.thing\r\nConnection: close\r\n\r\n")) == 200);

  server.stop();
  CHECK_FALSE(fs::exists(path));
}

TEST_CASE("a dead process's socket is replaced") {
  const TemporaryFolder folder;
  const auto path = folder.file("control.sock");
  leave_stale_socket(path);
  HttpServer server = server_at(path);
  server.start();
  CHECK(health_at(path) == 200);
}

TEST_CASE("a live process's socket is left alone") {
  const TemporaryFolder folder;
  const auto path = folder.file("control.sock");
  HttpServer first = server_at(path);
  first.start();

  const auto error = failure_at(path);
  CHECK(error.kind() == ErrorKind::kOperator);
  CHECK_THAT(error.what(), Catch::Contains(path));
  CHECK_THAT(error.hint(), Catch::Contains("http.listen"));
  CHECK(health_at(path) == 200);
}

TEST_CASE("a file that is no socket is left alone") {
  const TemporaryFolder folder;
  const auto path = folder.file("precious");
  std::ofstream{path} << "data";
  CHECK(failure_at(path).kind() == ErrorKind::kOperator);
  CHECK(fs::file_size(path) == 4);
}

TEST_CASE("a missing folder is named") {
  const TemporaryFolder folder;
  const auto error = failure_at(folder.file("missing/control.sock"));
  CHECK(error.kind() == ErrorKind::kOperator);
  CHECK_THAT(error.what(), Catch::Contains(folder.file("missing")));
}

// Somebody removed our file, and another process listens there by now.
TEST_CASE("stop does not remove another process's socket") {
  const TemporaryFolder folder;
  const auto path = folder.file("control.sock");
  HttpServer first = server_at(path);
  first.start();
  fs::rename(path, folder.file("moved"));
  HttpServer second = server_at(path);
  second.start();

  first.stop();

  CHECK(health_at(path) == 200);
}

}  // namespace
}  // namespace headgate
