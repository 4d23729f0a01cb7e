#include "sink/sqlite/sqlite_sink.hpp"

#include <thread>
#include <utility>

#include <fmt/format.h>

#include "base/check.hpp"
#include "base/deliberate_break.hpp"
#include "base/error.hpp"
#include "db/sqlite/sqlite_error.hpp"
#include "sink/sqlite/database_file.hpp"
#include "sink/sqlite/table_alterer.hpp"

namespace headgate::sink::sqlite {
namespace {

using db::sqlite::Connection;
using db::sqlite::SqliteError;

// Durable commits sync the log to disk; the others leave that to the next durable one.
void make_commits_durable(Connection& connection, bool durable) {
  connection.execute(durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
}

void force_wal(Connection& connection) {
  const std::string mode = connection.query_text("PRAGMA journal_mode = WAL");
  if (mode != "wal") {
    throw Error{ErrorKind::kOperator,
                fmt::format("{}: the journal mode stays {}, not wal", connection.path(), mode),
                "the file system must support shared memory (mmap) for the -shm file"};
  }
}

}  // namespace

SqliteSink::SqliteSink(Options options, const Clock& clock, Logger log, Tuning tuning)
    : options_(std::move(options)), clock_(clock), log_(std::move(log)), tuning_(tuning) {}

SqliteSink::~SqliteSink() {
  disconnect();
}

SinkPosition SqliteSink::connect() {
  disconnect();
  try {
    const std::string path = check_database_place(options_.path);
    lock_.emplace(path + ".headgate.lock");
    open_database(path);
    take_over();
  } catch (...) {
    disconnect();
    throw;
  }
  return known_;
}

void SqliteSink::check_encoding(Connection& connection) {
  if (connection.query_text("PRAGMA encoding") != "UTF-8") {
    throw Error{ErrorKind::kOperator, connection.path() + ": the database keeps its text in UTF-16",
                "copy it into a new database, whose encoding is UTF-8"};
  }
}

void SqliteSink::open_database(const std::string& path) {
  Connection& connection =
      connection_.emplace(path, db::sqlite::OpenOptions{.busy_timeout = tuning_.busy_timeout});
  if (connection.read_only()) {
    throw Error{ErrorKind::kOperator, path + ": it can only be opened for reading",
                "give this user write access to the file, its -wal and -shm files and the folder"};
  }
  check_encoding(connection);
  force_wal(connection);
  // The source has enforced its foreign keys. Checked again here, row by row, they would refuse
  // states in the middle of a transaction; and cascades would repeat deletes that arrive anyway.
  connection.execute("PRAGMA foreign_keys = OFF");
  // Checkpoints cost more than commits: with random keys and one every 1,000 pages (the default) we
  // measured 49k rows/s, at 20,000 pages (80 MiB of log) 70k, and nearly three times that in larger
  // batches. Beyond that, readers pay for the length of the log.
  connection.execute("PRAGMA wal_autocheckpoint = 20000");
  // After one huge transaction the log shrinks to this again.
  connection.execute("PRAGMA journal_size_limit = 268435456");
  // Taken as needed: the pages of a large batch stay in memory until its commit.
  connection.execute(fmt::format("PRAGMA cache_size = -{}", options_.cache_bytes / 1024));
}

// One durable transaction of its own: once it is committed, every older process finds another epoch
// than its own and stops, and everything committed before it is on disk too (see flush()).
void SqliteSink::take_over() {
  make_commits_durable(*connection_, true);
  {
    db::sqlite::Transaction transaction(*connection_);
    PositionTable::create(*connection_);
    TableRegistry::create(*connection_);
    registry_.emplace(*connection_, options_.pipeline, options_.name);
    positions_.emplace(*connection_, options_.pipeline, options_.name);
    positions_->raise_epoch(clock_.wall_now());
    const auto row = positions_->read();
    HEADGATE_CHECK(row.has_value(), "raising the epoch made the row");
    known_ = {row->position, row->epoch};
    transaction.commit();
  }
  make_commits_durable(*connection_, false);
}

void SqliteSink::begin() {
  HEADGATE_CHECK(connection_.has_value(), "begin() follows connect()");
  HEADGATE_CHECK(!transaction_.has_value(), "one transaction at a time");
  transaction_.emplace(*connection_);
  check_fence();
  watch_schema();
}

// BEGIN IMMEDIATE has taken the only write lock: what is read here stays true until the commit.
PositionRow SqliteSink::check_fence() {
  auto row = positions_->read();
  if (!row) {
    stop_fenced("its position row is gone");
  }
  if (broken(Break::kSkipEpochCheck)) {
    return *row;
  }
  if (row->epoch != known_.epoch) {
    stop_fenced(fmt::format("the epoch is {}, this process has {}", row->epoch, known_.epoch));
  }
  if (row->position != known_.position) {
    stop_fenced(fmt::format("it stands at {}, this process left it at {}",
                            row->position.to_string(), known_.position.to_string()));
  }
  return *row;
}

// Rolls back first, so that nothing of ours stays behind whatever the caller does.
void SqliteSink::stop_fenced(const std::string& reason) {
  end_transaction();
  throw Error{ErrorKind::kFenced, fmt::format("{}: {}", connection_->path(), reason),
              "another headgate process of this pipeline has taken over, or the file was restored; "
              "stop one of the two"};
}

// Somebody may have added an index or a trigger: then tables must be looked at again.
void SqliteSink::watch_schema() {
  const std::int64_t version = connection_->query_integer("PRAGMA schema_version");
  if (version != schema_version_) {
    ++schema_generation_;
    schema_version_ = version;
  }
}

void SqliteSink::prepare_table(const SinkConfigPtr& table, MissingTable missing) {
  HEADGATE_CHECK(transaction_.has_value(), "prepare_table() belongs into a transaction");
  check_distinct_name(*table);
  auto& place = tables_[table.get()];
  if (!place) {
    place = std::make_unique<Table>(Table{TableWriter(*connection_, table)});
    place->committed = missing == MissingTable::kRefuse;
  }
  make_ready(*place);
}

void SqliteSink::check_distinct_name(const SinkConfig& table) const {
  const std::string& name = table.output.name.table;
  for (const auto& [config, other] : tables_) {
    const std::string& other_name = config->output.name.table;
    // An earlier description of the same table is no other table.
    const bool same_table =
        config->output.source_id != 0 && config->output.source_id == table.output.source_id;
    if (!same_table && name != other_name && fold_case(name) == fold_case(other_name)) {
      throw Error{
          ErrorKind::kOperator,
          fmt::format("tables {} and {} are one to SQLite, which does not distinguish upper "
                      "and lower case",
                      other_name, name),
          "exclude one of them, or rename it in the mirror's options"};
    }
  }
}

void SqliteSink::make_ready(Table& table) {
  if (table.generation == schema_generation_) {
    return;
  }
  table.writer.prepare(table.committed ? MissingTable::kRefuse : MissingTable::kCreate);
  has_new_tables_ = has_new_tables_ || !table.committed;
  table.generation = schema_generation_;
  // What we just changed ourselves needs no second look.
  schema_version_ = connection_->query_integer("PRAGMA schema_version");
}

SqliteSink::Table& SqliteSink::table_of(const SinkConfig* config) {
  if (last_table_ == nullptr || &last_table_->writer.config() != config) {
    const auto found = tables_.find(config);
    HEADGATE_CHECK(found != tables_.end(), "a table is prepared before its first row");
    last_table_ = found->second.get();
  }
  make_ready(*last_table_);
  return *last_table_;
}

TableRecords SqliteSink::known_tables() {
  HEADGATE_CHECK(registry_.has_value(), "known_tables() follows connect()");
  return registry_->read();
}

void SqliteSink::remember_table(const TableRecord& record) {
  registry_->write(record);
}

void SqliteSink::forget_tables() {
  registry_->clear();
}

void SqliteSink::forget_table(const TableRecord& record) {
  registry_->remove(record);
}

std::string SqliteSink::forget_statement(const TableRecord& record) const {
  return sqlite::forget_statement(options_.pipeline, options_.name, record);
}

AlterationPlan SqliteSink::plan_alteration(const SinkConfig& now, const TableRecord& before) {
  return sqlite::plan_alteration(*connection_, now, before);
}

AlterationPlan SqliteSink::plan_replacement(const SinkConfig& now, const TableRecord& occupant) {
  return sqlite::plan_replacement(now, occupant);
}

// In the transaction of the rows that come with it: SQLite's DDL is transactional.
void SqliteSink::alter_table(const AlterationPlan& plan) {
  for (const std::string& statement : plan.statements) {
    run_ddl(statement);
  }
}

void SqliteSink::prepare_copy(const SinkConfig& table, ExistingRows existing) {
  Table& target = table_of(&table);
  target.copy_overwrites = existing == ExistingRows::kKeep;
  if (existing == ExistingRows::kReplace) {
    target.writer.erase_all();
  } else if (existing == ExistingRows::kRefuse && !target.writer.is_empty()) {
    throw holds_rows(table);
  }
}

void SqliteSink::commit(const CommitMark& mark) {
  HEADGATE_CHECK(transaction_.has_value(), "commit() follows begin()");
  if (broken(Break::kPositionOutsideTx)) {
    commit_transaction();
    transaction_.emplace(*connection_);
  }
  if (!positions_->move(mark, known_.epoch, clock_.wall_now()) && !broken(Break::kSkipEpochCheck)) {
    stop_fenced("its position row is gone or has another epoch");
  }
  commit_transaction();
  known_.position = mark.position;
  remember_committed_tables();
  warn_about_wal();
}

void SqliteSink::remember_committed_tables() {
  if (!std::exchange(has_new_tables_, false)) {
    return;
  }
  for (const auto& [config, table] : tables_) {
    // One of an older generation was made in a transaction that is rolled back.
    table->committed = table->committed || table->generation == schema_generation_;
  }
}

void SqliteSink::commit_transaction() {
  constexpr std::chrono::milliseconds kPause{10};
  for (auto waited = std::chrono::milliseconds(0);; waited += kPause) {
    try {
      transaction_->commit();
      transaction_.reset();
      return;
    } catch (const SqliteError& error) {
      const bool open = connection_->in_transaction();
      if (error.kind() == ErrorKind::kTransient && open && waited < tuning_.busy_timeout) {
        std::this_thread::sleep_for(kPause);
        continue;
      }
      end_transaction();
      if (error.is_io_error()) {
        // The commit record may have reached the log before the disk failed.
        throw Error{ErrorKind::kInDoubt, error.what(), error.hint()};
      }
      throw;
    }
  }
}

void SqliteSink::rollback() noexcept {
  if (transaction_) {
    end_transaction();
  }
}

// Tables that this transaction created are gone with it.
void SqliteSink::end_transaction() noexcept {
  transaction_.reset();
  ++schema_generation_;
}

// In WAL mode a commit appends its pages to one log file. At synchronous=FULL it then syncs that
// file, and with it all that earlier commits appended. What is no longer in the log was synced into
// the database file by the checkpoint that moved it, before the log was reused. So one durable
// commit makes all commits before it durable
// (https://www.sqlite.org/pragma.html#pragma_synchronous), provided that it changes a page at all:
// see PositionTable::touch().
void SqliteSink::flush() {
  HEADGATE_CHECK(connection_.has_value() && !transaction_.has_value(),
                 "flush() stands between transactions");
  make_commits_durable(*connection_, true);
  transaction_.emplace(*connection_);
  const PositionRow row = check_fence();
  if (!positions_->touch(row.updated_at, known_.epoch, clock_.wall_now())) {
    stop_fenced("its position row is gone or has another epoch");
  }
  commit_transaction();
  make_commits_durable(*connection_, false);
}

void SqliteSink::disconnect() noexcept {
  transaction_.reset();
  last_table_ = nullptr;
  tables_.clear();
  positions_.reset();
  registry_.reset();
  // Before the lock: closing may still write (it checkpoints the log).
  connection_.reset();
  lock_.reset();
  known_ = {};
  schema_version_ = -1;
}

}  // namespace headgate::sink::sqlite
