#include "source/sqlserver/change_table_reader.hpp"

#include <utility>

#include <fmt/format.h>

#include "base/check.hpp"
#include "core/float_text.hpp"
#include "db/odbc/statement.hpp"

namespace headgate::source::sqlserver {
namespace {

// Before the data: start_lsn, command_id, seqval, operation, update_mask.
constexpr std::size_t kMetadataColumns = 5;

// Program-made, so a literal is safe, and it leaves no prepared statement behind.
std::string literal(const LSN& lsn) {
  return lsn.to_hex();
}

std::string value_of(odbc::Statement& rows, std::size_t place, const CapturedColumn& column) {
  switch (column.mapping.fetch) {
    case odbc::FetchAs::kInteger:
      return normalised(column.mapping, std::to_string(rows.integer(place)));
    case odbc::FetchAs::kFloat: {
      const double number = rows.real(place);
      return column.type.name == "real" ? float_text(static_cast<float>(number))
                                        : float_text(number);
    }
    case odbc::FetchAs::kPrinted:
      return normalised(column.mapping, rows.text(place));
    case odbc::FetchAs::kText:
    case odbc::FetchAs::kBytes:
      return rows.text(place);
  }
  return {};
}

}  // namespace

ChangeTableReader::ChangeTableReader(odbc::Connection& connection, const CaptureInstance& instance,
                                     const LSN& from, const LSN& to, std::size_t page_rows)
    : connection_(connection), instance_(instance), to_(to), page_rows_(page_rows), read_to_(from) {
  last_.commit_lsn = from;
}

const ChangeRow* ChangeTableReader::peek() {
  if (page_.empty() && !ended_) {
    read_page();
  }
  return page_.empty() ? nullptr : &page_.front();
}

ChangeRow ChangeTableReader::pop() {
  ChangeRow row = std::move(page_.front());
  page_.pop_front();
  const ChangeRow* next = peek();
  if (next == nullptr) {
    read_to_ = to_;
  } else if (row.key.commit_lsn < next->key.commit_lsn) {
    read_to_ = row.key.commit_lsn;
  }
  return row;
}

// Ordered as the clustered index is, so that the server need not sort; from there on it is a range
// of that index. The key's parts are compared one by one, since T-SQL compares no rows.
std::string ChangeTableReader::statement() const {
  const bool command_id = instance_.has_command_id;
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
      "SELECT TOP ({}) {} FROM [cdc].{} WHERE {} AND [__$start_lsn] <= {} "
      "ORDER BY [__$start_lsn], {}[__$seqval], [__$operation]",
      page_rows_, columns, quoted(instance_.name + "_CT"), behind, literal(to_),
      command_id ? "[__$command_id], " : "");
}

void ChangeTableReader::read_page() {
  odbc::Statement rows(connection_, fmt::format("read change table cdc.{}_CT", instance_.name));
  rows.execute(statement());
  std::vector<odbc::FetchAs> kinds{odbc::FetchAs::kBytes, odbc::FetchAs::kInteger,
                                   odbc::FetchAs::kBytes, odbc::FetchAs::kInteger,
                                   odbc::FetchAs::kBytes};
  for (const CapturedColumn& column : instance_.columns) {
    kinds.push_back(column.mapping.fetch);
  }
  rows.fetch_as(std::move(kinds));
  std::size_t count = 0;
  while (rows.next()) {
    ChangeRow& row = page_.emplace_back();
    row.key.commit_lsn = LSN::from_bytes(rows.bytes(0));
    row.key.command_id = rows.is_null(1) ? 0 : static_cast<std::int32_t>(rows.integer(1));
    row.key.sequence = LSN::from_bytes(rows.bytes(2));
    row.key.operation = static_cast<std::int32_t>(rows.integer(3));
    row.update_mask = rows.text(4);
    row.values.reserve(instance_.columns.size());
    for (std::size_t i = 0; i < instance_.columns.size(); ++i) {
      const std::size_t place = kMetadataColumns + i;
      if (rows.is_null(place)) {
        row.values.emplace_back();
      } else {
        row.values.emplace_back(value_of(rows, place, instance_.columns[i]));
      }
    }
    ++count;
  }
  ended_ = count < page_rows_;
  first_page_ = false;
  if (!page_.empty()) {
    last_ = page_.back().key;
  } else {
    read_to_ = to_;
  }
}

}  // namespace headgate::source::sqlserver
