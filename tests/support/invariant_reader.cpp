#include "support/invariant_reader.hpp"

#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <optional>
#include <utility>

#include "support/sqlite_file.hpp"

namespace headgate::test {

namespace {

// Keeps a session over calls; an error ends it.
template <typename Session>
InvariantQuery asking(std::string place, std::string sql) {
  auto session = std::make_shared<std::optional<Session>>();
  return [session, place = std::move(place), sql = std::move(sql)] {
    try {
      if (!*session) {
        session->emplace(place);
      }
      return (*session)->query(sql);
    } catch (...) {
      session->reset();
      throw;
    }
  };
}

constexpr std::size_t kViolationsMax = 4000;  // bytes kept for the message

}  // namespace

InvariantQuery postgres_invariant(std::string conninfo, std::string sql) {
  return asking<demo::PgSession>(std::move(conninfo), std::move(sql));
}

InvariantQuery sqlite_invariant(std::string path, std::string sql) {
  return asking<SqliteFile>(std::move(path), std::move(sql));
}

InvariantReader::InvariantReader(InvariantQuery query, Duration pause)
    : query_(std::move(query)),
      pause_(pause),
      thread_([this](const std::stop_token& stop) { work(stop); }) {}

void InvariantReader::stop() {
  thread_.request_stop();
  if (thread_.joinable()) {
    thread_.join();
  }
}

std::string InvariantReader::violations() const {
  const std::lock_guard lock(mutex_);
  return violations_;
}

std::string InvariantReader::last_error() const {
  const std::lock_guard lock(mutex_);
  return last_error_;
}

void InvariantReader::work(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never_notified;
  while (!stop.stop_requested()) {
    ask();
    std::unique_lock lock(mutex);
    never_notified.wait_for(lock, stop, pause_, [] { return false; });
  }
}

void InvariantReader::ask() {
  try {
    const demo::TextRows rows = query_();
    if (rows.empty()) {
      ++rounds_;
      return;
    }
    const std::lock_guard lock(mutex_);
    for (const demo::TextRow& row : rows) {
      for (const auto& field : row) {
        violations_ += field.value_or("NULL") + " ";
      }
      violations_ += "\n";
      if (violations_.size() > kViolationsMax) {
        violations_.resize(kViolationsMax);
        return;
      }
    }
  } catch (const std::exception& error) {
    const std::lock_guard lock(mutex_);
    last_error_ = error.what();
  }
}

}  // namespace headgate::test
