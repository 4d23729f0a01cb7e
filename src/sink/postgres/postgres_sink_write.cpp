// What becomes of a batch's operations.

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/check.hpp"
#include "pipeline/net_effect.hpp"
#include "sink/postgres/postgres_sink.hpp"

namespace headgate::sink::postgres {
namespace {

bool is_complete(Row row) {
  return std::none_of(row.begin(), row.end(),
                      [](const Value& value) { return value.is_unchanged(); });
}

}  // namespace

void PostgresSink::write(std::span<const Sink> operations) {
  const SinkConfig* last = nullptr;  // runs of one table are the rule
  const bool in_order =
      std::any_of(operations.begin(), operations.end(), [&](const Sink& operation) {
        // What decides a conflict is the row that is there at that moment.
        return std::exchange(last, operation.config) != operation.config &&
               (operation.config->on_conflict != OnConflict::kOverwrite ||
                target(operation.config).needs_source_order);
      });
  if (in_order) {
    sql().exec("SET CONSTRAINTS ALL DEFERRED", "defer constraints");
    write_in_order(operations);
  } else {
    write_net_effect(operations);
  }
}

// The part of a bulk load, or all of it: many new rows of one table. Should a key be among them
// twice, the copy is refused. Returns how many of the operations are done.
std::size_t PostgresSink::write_new_rows(std::span<const Sink> operations) {
  const SinkConfig* table = operations.empty() ? nullptr : operations.front().config;
  if (open_copy_ && open_copy_->table == table) {
    return put_new_rows(operations);
  }
  if (operations.size() < TableWriter::kCopyRowsMin) {
    return 0;
  }
  const auto end =
      std::find_if_not(operations.begin(), operations.end(), [&](const Sink& operation) {
        return operation.config == table && operation.operation == Operation::kInsert;
      });
  const auto inserts = operations.first(static_cast<std::size_t>(end - operations.begin()));
  TableWriter& target = writer(table);
  if (inserts.size() >= kOpenCopyRowsMin && target.takes_copies() &&
      !no_open_copies_.contains(target.table().quoted_name)) {
    open_copy_ = {table, target.open_copy(), false};
    return put_new_rows(inserts);
  }
  if (inserts.size() < operations.size()) {
    return 0;
  }
  std::vector<Row> rows;
  rows.reserve(inserts.size());
  for (const Sink& insert : inserts) {
    if (!is_complete(insert.data)) {
      return 0;
    }
    rows.push_back(insert.data);
  }
  return try_copy(target, rows) ? rows.size() : 0;
}

// Those of the operations that go on with the open copy, up to the first that does not.
std::size_t PostgresSink::put_new_rows(std::span<const Sink> operations) {
  std::size_t done = 0;
  try {
    for (const Sink& operation : operations) {
      if (operation.config != open_copy_->table || operation.operation != Operation::kInsert ||
          !is_complete(operation.data)) {
        break;
      }
      open_copy_->stream->put(operation.data);
      ++done;
    }
  } catch (const Error& error) {
    throw open_copy_refused(error);
  }
  if (open_copy_->stream->bytes() >= kOpenCopyBytesMax) {
    finish_open_copy();
  }
  return done;
}

void PostgresSink::finish_open_copy() {
  if (!open_copy_) {
    return;
  }
  try {
    const std::int64_t rows = open_copy_->stream->finish();
    log_->debug("rows copied sink={} table={} rows={}", options_.name,
                open_copy_->table->output.name.to_string(), rows);
  } catch (const Error& error) {
    throw open_copy_refused(error);
  }
  open_copy_.reset();
}

// What the server says to COPY it may say otherwise, or with better reason, to INSERT; but the rows
// before are no longer here. They come again, and then every statement ends before the next.
Error PostgresSink::open_copy_refused(const Error& error) {
  const std::string& table = target(open_copy_->table).quoted_name;
  const bool is_refusal = error.kind() == ErrorKind::kRow || error.kind() == ErrorKind::kOperator;
  const bool is_final = open_copy_->is_only_way;
  open_copy_.reset();
  if (!is_refusal || is_final) {
    return error;
  }
  no_open_copies_.insert(table);
  return Error{ErrorKind::kTransient,
               fmt::format("{}; the rows of {} are written again without", error.what(), table),
               error.hint()};
}

// What is asked within a transaction goes through here.
pq::Connection& PostgresSink::sql() {
  finish_open_copy();
  return *connection_;
}

bool PostgresSink::try_copy(TableWriter& table, std::span<const Row> rows) {
  if (rows.size() < TableWriter::kCopyRowsMin || !table.takes_copies()) {
    return false;
  }
  const bool copied = table.try_copy(rows);
  log_->debug("rows {} sink={} table={} rows={}", copied ? "copied" : "not copied", options_.name,
              table.table().quoted_name, rows.size());
  return copied;
}

void PostgresSink::write_net_effect(std::span<const Sink> operations) {
  for (std::size_t done = 1; done > 0 && !operations.empty();) {
    done = write_new_rows(operations);
    operations = operations.subspan(done);
  }
  if (operations.empty()) {
    return;
  }
  NetEffect effect;
  effect.add(operations);
  for (const WorkStage& stage : effect.take()) {
    for (const TableWork& work : stage.tables) {
      TableWriter& table = writer(work.table);
      if (work.truncate) {
        table.erase_all();
      }
      table.erase(work.deletes);
      if (!work.upserts_are_new || !try_copy(table, work.upserts)) {
        table.upsert(work.upserts);
      }
      count_missing(static_cast<std::int64_t>(work.updates.size()), table.update(work.updates));
      if (!try_copy(table, work.appends)) {
        table.append(work.appends);
      }
    }
    for (const Sink& single : stage.singles) {
      write_single(single);
    }
  }
}

// One after the other as the source did it; only runs of inserts and of deletes go together.
void PostgresSink::write_in_order(std::span<const Sink> operations) {
  while (!operations.empty()) {
    const Sink& first = operations.front();
    const bool groups =
        (first.operation == Operation::kInsert &&
         first.config->on_conflict == OnConflict::kOverwrite) ||
        (first.operation == Operation::kDelete && !first.config->output.key.empty());
    if (!groups) {
      write_single(first);
      operations = operations.subspan(1);
      continue;
    }
    const auto end = std::find_if(operations.begin(), operations.end(), [&](const Sink& next) {
      return next.config != first.config || next.operation != first.operation;
    });
    const auto run = operations.first(static_cast<std::size_t>(end - operations.begin()));
    write_net_effect(run);
    operations = operations.subspan(run.size());
  }
}

void PostgresSink::write_single(const Sink& operation) {
  TableWriter& table = writer(operation.config);
  const bool keyed = !operation.config->output.key.empty();
  switch (operation.operation) {
    case Operation::kUpdateAfter:
      if (!keyed) {
        count_missing(1, table.update_equal(operation) ? 1 : 0);
      } else {
        count_missing(1, table.update_one(operation.before, operation.data) ? 1 : 0);
      }
      return;
    case Operation::kDelete:
      count_missing(
          1, keyed ? table.erase({&operation.data, 1}) : (table.erase_equal(operation) ? 1 : 0));
      return;
    case Operation::kTruncate:
      table.erase_all();
      return;
    case Operation::kInsert:
      write_net_effect({&operation, 1});
      return;
    case Operation::kUpdateBefore:
      break;
  }
  HEADGATE_CHECK(false, "before and after images are joined before they reach a sink");
}

void PostgresSink::count_missing(std::int64_t expected, std::int64_t found) {
  if (found < expected) {
    missing_rows_ += static_cast<std::uint64_t>(expected - found);
  }
}

void PostgresSink::copy(std::span<const Sink> operations) {
  if (any_in_source_order()) {
    sql().exec("SET CONSTRAINTS ALL DEFERRED", "defer constraints");
  }
  while (!operations.empty()) {
    const SinkConfig* table = operations.front().config;
    if (!prepared(table).copies_over_rows) {
      operations = operations.subspan(copy_rows(operations));
      continue;
    }
    std::vector<Row> rows;
    while (!operations.empty() && operations.front().config == table) {
      HEADGATE_CHECK(operations.front().operation == Operation::kInsert, "a copy only inserts");
      rows.push_back(operations.front().data);
      operations = operations.subspan(1);
    }
    writer(table).upsert(rows);
  }
}

// The rows of one table, from the first on, in a copy that is left open for more.
std::size_t PostgresSink::copy_rows(std::span<const Sink> operations) {
  const SinkConfig* table = operations.front().config;
  if (!open_copy_ || open_copy_->table != table) {
    open_copy_ = {table, writer(table).open_copy(), true};
  }
  const std::size_t done = put_new_rows(operations);
  HEADGATE_CHECK(done > 0, "a copy only inserts whole rows");
  return done;
}

}  // namespace headgate::sink::postgres
