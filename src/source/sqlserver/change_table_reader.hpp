// The rows of one change table, in order.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "db/odbc/connection.hpp"
#include "source/sqlserver/capture_instances.hpp"
#include "source/sqlserver/change_key.hpp"
#include "source/sqlserver/options.hpp"
#include "source/sqlserver/page_readers.hpp"

namespace headgate::source::sqlserver {

// Whether the instance has rows of inserts or updates committed from `first` to `last`, both
// included. REQUIRES: it reaches back to `first`, and `last` is captured.
bool has_new_rows(odbc::Connection& connection, const CaptureInstance& instance, QueryMode mode,
                  const LSN& first, const LSN& last);

// Reads a window (from, to] page by page: a page is all that is held, however large a transaction
// is. Pages end anywhere; the next one goes on behind the last row's key, which is unique.
//
// By functions the order is that of (commit, sequence, operation), as for a change table without
// __$command_id. The functions refuse a range that is not all there (error 313).
//
// Belongs to the thread that makes its calls; who reads its pages is `pages`' affair. Throws
// OdbcError, and Error{kOperator} for rows that do not come in the order that was asked for.
class ChangeTableReader {
 public:
  // `pages` and `instance` must outlive it, and PageReaders::cancel() comes before the instance's
  // end. `condition`: of the captured columns, for rows alone that meet it; empty: all.
  ChangeTableReader(PageReaders& pages, const CaptureInstance& instance, QueryMode mode,
                    const LSN& from, const LSN& to, std::size_t page_rows,
                    std::string condition = {});

  const CaptureInstance& instance() const { return instance_; }

  // Asks for the first page, where pages are read ahead.
  void ask();

  // The next row, or the window's end, is known without waiting. False: not after `longest`.
  bool is_here(Duration longest);

  // The next row, which stays the next until pop(); null at the window's end. Waits for it.
  const ChangeRow* peek();
  // REQUIRES: peek() found a row.
  ChangeRow pop();

  // Every row up to and including this commit has been popped, as far as it is known without
  // waiting: that of the window's end when there are no more, otherwise something before the next
  // row's.
  const LSN& read_to();

 private:
  bool has_command_id() const { return instance_.has_command_id && mode_ == QueryMode::kDirect; }
  void take_page();
  void check_order(const ChangeRows& page) const;
  std::string statement() const;

  PageReaders& pages_;
  const CaptureInstance& instance_;
  QueryMode mode_;
  LSN to_;
  std::size_t page_rows_;
  std::string condition_;

  ChangeRows page_;
  std::shared_ptr<PageRequest> asked_;
  ChangeKey last_;  // of the last page; its commit is `from` before the first
  bool first_page_ = true;
  bool ended_ = false;
  LSN popped_;  // commit of the last row
  LSN read_to_;
};

}  // namespace headgate::source::sqlserver
