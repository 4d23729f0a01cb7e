#include "version.hpp"

#include <boost/version.hpp>
#include <fmt/core.h>
#include <libpq-fe.h>
#include <sqlite3.h>

#include "base/error.hpp"

namespace headgate {
namespace {

std::string libpq_version() {
  const int number = PQlibVersion();
  return fmt::format("{}.{}", number / 10000, number % 10000);
}

}  // namespace

std::string version_text() {
  return HEADGATE_VERSION;
}

int version_command(bool json) {
  if (json) {
    fmt::print("{{\"version\":\"{}\",\"libpq\":\"{}\",\"sqlite\":\"{}\"}}\n", version_text(),
               libpq_version(), sqlite3_libversion());
  } else {
    fmt::print("headgate {} (libpq {}, SQLite {})\n", version_text(), libpq_version(),
               sqlite3_libversion());
  }
  return kExitOk;
}

}  // namespace headgate
