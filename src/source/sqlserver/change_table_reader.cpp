#include "source/sqlserver/change_table_reader.hpp"

#include <utility>

#include <fmt/format.h>

#include "base/error.hpp"
#include "db/odbc/statement.hpp"

namespace headgate::source::sqlserver {
namespace {

// Program-made, so a literal is safe, and it leaves no prepared statement behind.
std::string literal(const LSN& lsn) {
  return lsn.to_hex();
}

// What stands behind FROM. By functions: all rows from the commit `first` to `last`, the old ones
// of updates among them; the server checks that the instance has all of that range.
std::string rows_of(const CaptureInstance& instance, QueryMode mode, const LSN& first,
                    const LSN& last) {
  return mode == QueryMode::kDirect ? "[cdc]." + quoted(instance.name + "_CT")
                                    : fmt::format("[cdc].{}({}, {}, N'all update old')",
                                                  quoted("fn_cdc_get_all_changes_" + instance.name),
                                                  literal(first), literal(last));
}

}  // namespace

bool has_new_rows(odbc::Connection& connection, const CaptureInstance& instance, QueryMode mode,
                  const LSN& first, const LSN& last) {
  if (last < first) {
    return false;
  }
  odbc::Statement rows(connection, fmt::format("look into capture instance {}", instance.name));
  rows.execute(
      fmt::format("SELECT TOP (1) 1 FROM {} WHERE [__$start_lsn] >= {} AND [__$start_lsn] <= {} "
                  "AND [__$operation] IN (2, 4)",
                  rows_of(instance, mode, first, last), literal(first), literal(last)));
  const bool any = rows.next();
  rows.close();
  return any;
}

ChangeTableReader::ChangeTableReader(PageReaders& pages, const CaptureInstance& instance,
                                     QueryMode mode, const LSN& from, const LSN& to,
                                     std::size_t page_rows, std::string condition)
    : pages_(pages),
      instance_(instance),
      mode_(mode),
      to_(to),
      page_rows_(page_rows),
      condition_(std::move(condition)),
      read_to_(from) {
  last_.commit_lsn = from;
  // A function refuses what lies before the instance's start, where there is nothing.
  if (mode == QueryMode::kFunctions && (!instance.start_lsn || to < *instance.start_lsn)) {
    ended_ = true;
  }
}

const ChangeRow* ChangeTableReader::peek() {
  if (page_.empty() && !ended_) {
    ask();
    take_page();
  }
  return page_.empty() ? nullptr : &page_.front();
}

ChangeRow ChangeTableReader::pop() {
  ChangeRow row = std::move(page_.front());
  page_.pop_front();
  popped_ = row.key.commit_lsn;
  return row;
}

const LSN& ChangeTableReader::read_to() {
  if (page_.empty()) {
    read_to_ = ended_ ? to_ : read_to_;
  } else if (popped_ < page_.front().key.commit_lsn && read_to_ < popped_) {
    read_to_ = popped_;
  }
  return read_to_;
}

// Ordered as the clustered index is, so that the server need not sort; from there on it is a range
// of that index. The key's parts are compared one by one, since T-SQL compares no rows.
std::string ChangeTableReader::statement() const {
  const bool command_id = has_command_id();
  LSN first = first_page_ ? increment(last_.commit_lsn) : last_.commit_lsn;
  if (instance_.start_lsn && first < *instance_.start_lsn) {
    first = *instance_.start_lsn;
  }
  std::string columns = fmt::format(
      "[__$start_lsn], {}, [__$seqval], [__$operation], "
      "[__$update_mask]",
      command_id ? "[__$command_id]" : "0");
  for (const CapturedColumn& column : instance_.columns) {
    columns += ", " + fmt::format(fmt::runtime(column.mapping.expression), quoted(column.name));
  }
  std::string behind;
  if (first_page_) {
    behind = fmt::format("[__$start_lsn] > {}", literal(last_.commit_lsn));
  } else {
    const std::string last_part =
        fmt::format("([__$seqval] > {0} OR ([__$seqval] = {0} AND [__$operation] > {1}))",
                    literal(last_.sequence), last_.operation);
    const std::string within =
        command_id ? fmt::format("([__$command_id] > {0} OR ([__$command_id] = {0} AND {1}))",
                                 last_.command_id, last_part)
                   : last_part;
    behind = fmt::format(
        "[__$start_lsn] >= {0} AND ([__$start_lsn] > {0} OR ([__$start_lsn] = {0} AND {1}))",
        literal(last_.commit_lsn), within);
  }
  return fmt::format(
      "SELECT TOP ({}) {} FROM {} WHERE {} AND [__$start_lsn] <= {}{} "
      "ORDER BY [__$start_lsn], {}[__$seqval], [__$operation]",
      page_rows_, columns, rows_of(instance_, mode_, first, to_), behind, literal(to_),
      condition_.empty() ? "" : " AND " + condition_, command_id ? "[__$command_id], " : "");
}

void ChangeTableReader::ask() {
  if (!ended_ && page_.empty() && !asked_) {
    asked_ = pages_.ask(instance_, statement());
  }
}

bool ChangeTableReader::is_here(Duration longest) {
  if (!page_.empty() || ended_) {
    return true;
  }
  ask();
  if (!pages_.await(*asked_, longest)) {
    return false;
  }
  take_page();
  return true;
}

// Everything behind stands on it: the merge, the marks of the gate, and where the next page begins.
// So nothing of a page is believed that is not in the order that was asked for, has a row twice (a
// scan without locks may), or holds what is not in the window.
void ChangeTableReader::check_order(const ChangeRows& page) const {
  const ChangeKey* before = first_page_ ? nullptr : &last_;
  for (const ChangeRow& row : page) {
    const bool in_place =
        before != nullptr ? *before < row.key : last_.commit_lsn < row.key.commit_lsn;
    if (!in_place || to_ < row.key.commit_lsn) {
      throw Error{ErrorKind::kOperator,
                  fmt::format("source: the rows of change table cdc.{}_CT did not come in their "
                              "order: one of commit {} at the wrong place",
                              instance_.name, row.key.commit_lsn.to_string()),
                  "nothing of it was applied; please report it, with the server's version"};
    }
    before = &row.key;
  }
}

void ChangeTableReader::take_page() {
  ChangeRows page = pages_.take(*std::exchange(asked_, nullptr));
  check_order(page);
  page_ = std::move(page);
  ended_ = page_.size() < page_rows_;
  first_page_ = false;
  if (!page_.empty()) {
    last_ = page_.back().key;
  }
  if (!ended_ && pages_.reads_ahead()) {
    asked_ = pages_.ask(instance_, statement());
  }
}

}  // namespace headgate::source::sqlserver
