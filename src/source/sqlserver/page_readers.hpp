// Reads pages of change tables, several at the same time where that is asked for.

#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.hpp"
#include "db/odbc/connection.hpp"
#include "db/odbc/statement.hpp"
#include "source/sqlserver/capture_instances.hpp"
#include "source/sqlserver/change_key.hpp"

namespace headgate::source::sqlserver {

// One row of a change table. Owns its bytes.
struct ChangeRow {
  ChangeKey key;
  std::string update_mask;
  // One per column of the instance: text or raw bytes as its mapping says; nothing for NULL.
  std::vector<std::optional<std::string>> values;
};
using ChangeRows = std::deque<ChangeRow>;

// A page that was asked for: what is awaited, and then taken once.
class PageRequest {
 private:
  friend class PageReaders;

  const CaptureInstance* instance = nullptr;
  std::string sql;

  // Guarded by PageReaders::mutex_ until `done`.
  bool done = false;
  ChangeRows rows;
  std::exception_ptr error;
};

// With one reader, a page is read when it is awaited, in the caller's thread and over the caller's
// connection: there is no thread. With several, each has a thread and a connection of its own, made
// at its first page, and pages are read from the moment they are asked for, in that order. What is
// asked for is all that is held: the caller bounds it.
//
// Belongs to one thread, which makes all calls. No thread outlives it.
class PageReaders {
 public:
  // `own` is the caller's connection. `connect` makes one more, from a reader's thread; it and the
  // instances of what is asked for must stay until cancel() or the end.
  PageReaders(std::size_t readers, std::function<odbc::Connection&()> own,
              std::function<std::unique_ptr<odbc::Connection>()> connect);
  ~PageReaders();
  PageReaders(const PageReaders&) = delete;
  PageReaders& operator=(const PageReaders&) = delete;

  // Whether pages are read before they are awaited, so that it pays to ask early.
  bool reads_ahead() const { return readers_ > 1; }

  // `sql` selects the commit, command id, sequence, operation and update mask of rows, and the
  // columns of `instance`.
  std::shared_ptr<PageRequest> ask(const CaptureInstance& instance, std::string sql);

  // False when it is not there after `longest`.
  bool await(PageRequest& request, Duration longest);

  // Waits, and throws what its reading threw. Once for each request.
  ChangeRows take(PageRequest& request);

  // Forgets what was asked for and not taken; ends what runs. No thread touches an instance when it
  // returns, which is within the time of a login, or of the server's answer to a cancellation.
  void cancel() noexcept;

 private:
  void run(std::size_t reader);
  ChangeRows read(const PageRequest& request, std::unique_ptr<odbc::Connection>& connection,
                  std::size_t reader, std::uint64_t cancellations);
  void start_threads();

  // Constant after construction.
  const std::size_t readers_;
  const std::function<odbc::Connection&()> own_;
  const std::function<std::unique_ptr<odbc::Connection>()> connect_;

  std::mutex mutex_;
  std::condition_variable asked_;
  std::condition_variable finished_;
  // Guarded by mutex_.
  std::deque<std::shared_ptr<PageRequest>> queue_;
  std::vector<odbc::Statement*> running_;  // by reader; null: none that can be cancelled
  std::size_t busy_ = 0;                   // readers with a request
  std::uint64_t cancellations_ = 0;
  bool ending_ = false;

  std::vector<std::thread> threads_;
};

}  // namespace headgate::source::sqlserver
