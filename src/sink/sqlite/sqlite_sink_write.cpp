// The part of SqliteSink that writes rows: net effect, source order, and what to do when neither
// fits.

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "db/sqlite/sqlite_error.hpp"
#include "sink/sqlite/key_order.hpp"
#include "sink/sqlite/sqlite_sink.hpp"

namespace headgate::sink::sqlite {
namespace {

// While it lives, no page leaves the cache before the transaction ends.
//
// SQLite up to some version behind 3.40.1 spoils its log where a transaction has written pages out
// twice and then rolls back to a savepoint from before that: the frames that follow are left
// without a checksum. Nothing shows it until a crash; then that commit, and all behind it, are gone
// from the log while some of their pages may be in the database (iReCksum in wal.c's
// sqlite3WalSavepointUndo).
class SpillingOff {
 public:
  explicit SpillingOff(db::sqlite::Connection& connection) : connection_(connection) {
    connection_.execute("PRAGMA main.cache_spill = 2147483647");  // pages
  }
  ~SpillingOff() {
    try {
      connection_.execute("PRAGMA main.cache_spill = 1");  // as many as the cache is to hold
    } catch (const Error&) {  // then the transaction has failed, and with it the connection goes
    }
  }
  SpillingOff(const SpillingOff&) = delete;
  SpillingOff& operator=(const SpillingOff&) = delete;

 private:
  db::sqlite::Connection& connection_;
};

}  // namespace

void SqliteSink::write(std::span<const Sink> operations) {
  if (needs_source_order(operations)) {
    write_in_source_order(operations);
  } else {
    write_net_effect(operations);
  }
}

void SqliteSink::copy(std::span<const Sink> operations) {
  for (const Sink& operation : operations) {
    Table& table = table_of(operation.config);
    if (table.copy_overwrites && table.writer.has_key()) {
      table.writer.upsert(operation.data);
    } else {
      table.writer.insert(operation.data);
    }
  }
}

// One table that needs it takes all others along: its triggers may read them.
bool SqliteSink::needs_source_order(std::span<const Sink> operations) {
  return std::any_of(operations.begin(), operations.end(), [&](const Sink& operation) {
    // Which row an insert leaves alone depends on what was there at that moment.
    return table_of(operation.config).writer.shape().needs_source_order ||
           operation.config->on_conflict != OnConflict::kOverwrite;
  });
}

void SqliteSink::write_net_effect(std::span<const Sink> operations) {
  NetEffect effect;
  effect.add(operations);
  for (WorkStage& stage : effect.take()) {
    for (TableWork& work : stage.tables) {
      write_table(work);
    }
    for (const Sink& single : stage.singles) {
      apply(single);
    }
  }
}

void SqliteSink::write_table(TableWork& work) {
  TableWriter& writer = table_of(work.table).writer;
  const TableSchema& output = work.table->output;
  if (work.truncate) {
    writer.erase_all();
    work.deletes.clear();
  }
  if (writer.has_key()) {
    sort_by_key(work.deletes, output);
    sort_by_key(work.upserts, output);
    sort_by_key(work.updates, output);
  }
  for (const Row row : work.deletes) {
    count(writer.erase(row));
  }
  for (const Row row : work.upserts) {
    writer.upsert(row);
  }
  write_rest(writer, work);
}

void SqliteSink::write_rest(TableWriter& writer, const TableWork& work) {
  for (const Row row : work.updates) {
    count(writer.update(row, row));
  }
  for (const Row row : work.appends) {
    writer.insert(row);
  }
}

void SqliteSink::apply(const Sink& operation) {
  const bool found = table_of(operation.config).writer.apply(operation);
  if (operation.operation != Operation::kInsert) {
    count(found);
  }
}

// The source's order satisfies a unique index at every step, unless the source checks that index
// only at the end of a statement or transaction, as when two rows swap their values. Then the rows
// are taken out and put back in their last state.
void SqliteSink::write_in_source_order(std::span<const Sink> operations) {
  const std::uint64_t missing_before = missing_rows_;
  const SpillingOff no_spilling(*connection_);
  connection_->execute("SAVEPOINT headgate_write");
  try {
    for (const Sink& operation : operations) {
      apply(operation);
    }
  } catch (const db::sqlite::SqliteError& error) {
    if (!error.is_duplicate() || !connection_->in_transaction() || !may_replace(operations)) {
      throw;
    }
    connection_->execute("ROLLBACK TO headgate_write");
    missing_rows_ = missing_before;
    write_replacing(operations);
  }
  connection_->execute("RELEASE headgate_write");
}

// Not where triggers would fire for it, or where it would lose columns that only the sink has, or
// where a row that is there already means something of its own.
bool SqliteSink::may_replace(std::span<const Sink> operations) {
  return std::none_of(operations.begin(), operations.end(), [&](const Sink& operation) {
    const TableShape& shape = table_of(operation.config).writer.shape();
    return shape.has_triggers || shape.has_own_columns ||
           operation.config->on_conflict != OnConflict::kOverwrite;
  });
}

void SqliteSink::write_replacing(std::span<const Sink> operations) {
  NetEffect effect;
  effect.add(operations);
  for (WorkStage& stage : effect.take()) {
    for (TableWork& work : stage.tables) {
      replace_rows(work);
    }
    for (const Sink& single : stage.singles) {
      apply(single);
    }
  }
}

void SqliteSink::replace_rows(TableWork& work) {
  TableWriter& writer = table_of(work.table).writer;
  if (work.truncate) {
    writer.erase_all();
    work.deletes.clear();
  }
  for (const Row row : work.deletes) {
    count(writer.erase(row));
  }
  for (const Row row : work.upserts) {
    writer.erase(row);
  }
  for (const Row row : work.upserts) {
    writer.insert(row);
  }
  write_rest(writer, work);
}

}  // namespace headgate::sink::sqlite
