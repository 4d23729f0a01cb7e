// The rows of one change table, in order.

#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "db/odbc/connection.hpp"
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

// Reads a window (from, to] page by page: a page is all that is held, however large a transaction
// is. Pages end anywhere; the next one goes on behind the last row's key, which is unique.
//
// Several readers share a connection, each with one statement at a time. Not thread-safe. Throws
// OdbcError.
class ChangeTableReader {
 public:
  // `connection` and `instance` must outlive it.
  ChangeTableReader(odbc::Connection& connection, const CaptureInstance& instance, const LSN& from,
                    const LSN& to, std::size_t page_rows);

  const CaptureInstance& instance() const { return instance_; }

  // The next row, which stays the next until pop(); null at the window's end.
  const ChangeRow* peek();
  ChangeRow pop();

  // Every row up to and including this commit has been popped: that of the window's end when there
  // are no more, otherwise something before the next row's.
  const LSN& read_to() const { return read_to_; }

 private:
  void read_page();
  std::string statement() const;

  odbc::Connection& connection_;
  const CaptureInstance& instance_;
  LSN to_;
  std::size_t page_rows_;

  std::deque<ChangeRow> page_;
  ChangeKey last_;  // of the last page; its commit is `from` before the first
  bool first_page_ = true;
  bool ended_ = false;
  LSN read_to_;
};

}  // namespace headgate::source::sqlserver
