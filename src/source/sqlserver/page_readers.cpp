#include "source/sqlserver/page_readers.hpp"

#include <utility>

#include <fmt/format.h>

#include "base/check.hpp"
#include "base/error.hpp"
#include "source/sqlserver/fetched_value.hpp"

namespace headgate::source::sqlserver {
namespace {

// In front of the captured columns: commit, command_id, seqval, operation, update_mask.
constexpr std::size_t kMetadataColumns = 5;

ChangeRows read_rows(odbc::Statement& rows, const CaptureInstance& instance,
                     const std::string& sql) {
  rows.execute(sql);
  std::vector<odbc::FetchAs> kinds{odbc::FetchAs::kBytes, odbc::FetchAs::kInteger,
                                   odbc::FetchAs::kBytes, odbc::FetchAs::kInteger,
                                   odbc::FetchAs::kBytes};
  for (const CapturedColumn& column : instance.columns) {
    kinds.push_back(column.mapping.fetch);
  }
  rows.fetch_as(std::move(kinds));
  ChangeRows page;
  while (rows.next()) {
    if (rows.is_null(0)) {
      // A function's way to say no (sqlserver-cdc 1.7).
      throw Error{ErrorKind::kOperator,
                  fmt::format("source: the login may not read capture instance {} of table {}",
                              instance.name, instance.table.to_string()),
                  "GRANT SELECT on the table's captured columns, and make the login's user a "
                  "member of the instance's gating role if it has one"};
    }
    ChangeRow& row = page.emplace_back();
    row.key.commit_lsn = LSN::from_bytes(rows.bytes(0));
    row.key.command_id = rows.is_null(1) ? 0 : static_cast<std::int32_t>(rows.integer(1));
    row.key.sequence = LSN::from_bytes(rows.bytes(2));
    row.key.operation = static_cast<std::int32_t>(rows.integer(3));
    row.update_mask = rows.text(4);
    row.values.reserve(instance.columns.size());
    for (std::size_t i = 0; i < instance.columns.size(); ++i) {
      const std::size_t place = kMetadataColumns + i;
      if (rows.is_null(place)) {
        row.values.emplace_back();
      } else {
        row.values.emplace_back(fetched_value(rows, place, instance.columns[i]));
      }
    }
  }
  return page;
}

std::string doing(const CaptureInstance& instance) {
  return fmt::format("read change table cdc.{}_CT", instance.name);
}

}  // namespace

PageReaders::PageReaders(std::size_t readers, std::function<odbc::Connection&()> own,
                         std::function<std::unique_ptr<odbc::Connection>()> connect)
    : readers_(readers), own_(std::move(own)), connect_(std::move(connect)), running_(readers) {}

PageReaders::~PageReaders() {
  cancel();
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  asked_.notify_all();
  for (std::thread& thread : threads_) {
    thread.join();
  }
}

void PageReaders::start_threads() {
  for (std::size_t reader = threads_.size(); reader < readers_; ++reader) {
    threads_.emplace_back([this, reader] { run(reader); });
  }
}

std::shared_ptr<PageRequest> PageReaders::ask(const CaptureInstance& instance, std::string sql) {
  auto request = std::make_shared<PageRequest>();
  request->instance = &instance;
  request->sql = std::move(sql);
  if (reads_ahead()) {
    start_threads();
    {
      const std::lock_guard lock(mutex_);
      queue_.push_back(request);
    }
    asked_.notify_one();
  }
  return request;
}

bool PageReaders::await(PageRequest& request, Duration longest) {
  if (!reads_ahead()) {
    return true;
  }
  std::unique_lock lock(mutex_);
  return finished_.wait_for(lock, longest, [&] { return request.done; });
}

ChangeRows PageReaders::take(PageRequest& request) {
  if (!reads_ahead()) {
    odbc::Statement rows(own_(), doing(*request.instance));
    return read_rows(rows, *request.instance, request.sql);
  }
  std::unique_lock lock(mutex_);
  finished_.wait(lock, [&] { return request.done; });
  if (request.error) {
    std::rethrow_exception(request.error);
  }
  return std::move(request.rows);
}

void PageReaders::cancel() noexcept {
  std::unique_lock lock(mutex_);
  queue_.clear();
  ++cancellations_;
  // With the lock: a statement that stands here ends only after it was taken out.
  for (odbc::Statement* statement : running_) {
    if (statement != nullptr) {
      statement->cancel();
    }
  }
  finished_.wait(lock, [&] { return busy_ == 0; });
}

// A reader's thread.
void PageReaders::run(std::size_t reader) {
  std::unique_ptr<odbc::Connection> connection;
  std::unique_lock lock(mutex_);
  while (true) {
    asked_.wait(lock, [&] { return ending_ || !queue_.empty(); });
    if (ending_) {
      return;
    }
    const std::shared_ptr<PageRequest> request = std::move(queue_.front());
    queue_.pop_front();
    ++busy_;
    const std::uint64_t cancellations = cancellations_;
    lock.unlock();
    ChangeRows rows;
    std::exception_ptr error;
    try {
      rows = read(*request, connection, reader, cancellations);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    request->rows = std::move(rows);
    request->error = error;
    request->done = true;
    --busy_;
    finished_.notify_all();
  }
}

ChangeRows PageReaders::read(const PageRequest& request,
                             std::unique_ptr<odbc::Connection>& connection, std::size_t reader,
                             std::uint64_t cancellations) {
  if (!connection || connection->lost()) {
    connection.reset();
    connection = connect_();
  }
  odbc::Statement rows(*connection, doing(*request.instance));
  // Where cancel() finds it, for as long as it is there.
  class Registration {
   public:
    Registration(PageReaders& readers, std::size_t place, odbc::Statement& statement,
                 std::uint64_t cancellations)
        : readers_(readers), place_(place) {
      const std::lock_guard lock(readers_.mutex_);
      if (readers_.cancellations_ != cancellations) {
        throw Error{ErrorKind::kTransient, "source: reading was cancelled"};
      }
      readers_.running_[place_] = &statement;
    }
    ~Registration() {
      const std::lock_guard lock(readers_.mutex_);
      readers_.running_[place_] = nullptr;
    }
    Registration(const Registration&) = delete;
    Registration& operator=(const Registration&) = delete;

   private:
    PageReaders& readers_;
    std::size_t place_;
  };
  const Registration registration(*this, reader, rows, cancellations);
  return read_rows(rows, *request.instance, request.sql);
}

}  // namespace headgate::source::sqlserver
