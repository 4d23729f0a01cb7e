#include "demo/mirror_reader.hpp"

#include <chrono>
#include <condition_variable>
#include <utility>

#include <fmt/format.h>

#include "db/sqlite/connection.hpp"
#include "db/sqlite/sqlite_error.hpp"
#include "db/sqlite/statement.hpp"
#include "demo/order_schema.hpp"

namespace headgate::demo {

MirrorReader::MirrorReader(std::string path)
    : path_(std::move(path)), thread_([this](const std::stop_token& stop) { work(stop); }) {}

void MirrorReader::finish() {
  thread_.request_stop();
  if (thread_.joinable()) {
    thread_.join();
  }
  ask();
}

std::string MirrorReader::violations() const {
  const std::lock_guard lock(mutex_);
  return violations_;
}

void MirrorReader::work(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never_notified;
  while (!stop.stop_requested()) {
    try {
      ask();
    } catch (const db::sqlite::SqliteError&) {
      // No file yet, no tables yet, or busy. finish() finds out whether it stays so.
    }
    std::unique_lock lock(mutex);
    never_notified.wait_for(lock, stop, std::chrono::milliseconds(100), [] { return false; });
  }
}

void MirrorReader::ask() {
  db::sqlite::OpenOptions options;
  options.create = false;
  options.read_only = true;
  db::sqlite::Connection mirror(path_, options);
  db::sqlite::Statement statement(mirror, order_invariant_sqlite(), "add up the orders");
  std::string found;
  db::sqlite::Rows rows = statement.rows();
  while (rows.next()) {
    found += fmt::format("{} of {}: stored {}, computed {}\n", rows.text(0), rows.text(1),
                         rows.text(2), rows.text(3));
  }
  ++answers_;
  const std::lock_guard lock(mutex_);
  if (violations_.empty()) {
    violations_ = found;
  }
}

}  // namespace headgate::demo
