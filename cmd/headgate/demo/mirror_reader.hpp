// Somebody who reads the mirror while it is written, and adds up.

#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

namespace headgate::demo {

// Asks a SQLite mirror ten times a second, in a thread of its own and with one statement each, for
// what breaks the rules of order_schema.hpp.
class MirrorReader {
 public:
  explicit MirrorReader(std::string path);

  // Ends the thread, and asks once more. Throws SqliteError when the mirror cannot be read then;
  // before that it may not be there yet.
  void finish();

  // Answers so far, and the first of them that found something, one violation a line; empty: none.
  std::uint64_t answers() const { return answers_; }
  std::string violations() const;

 private:
  void work(const std::stop_token& stop);
  void ask();

  const std::string path_;
  std::atomic<std::uint64_t> answers_ = 0;
  mutable std::mutex mutex_;
  std::string violations_;  // guarded by mutex_
  std::jthread thread_;     // last: it uses all of the above
};

}  // namespace headgate::demo
