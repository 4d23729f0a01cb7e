#include "sink/postgres/postgres_sink.hpp"

#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "base/check.hpp"
#include "base/deliberate_break.hpp"
#include "sink/postgres/table_alterer.hpp"

namespace headgate::sink::postgres {
namespace {

// FNV-1a: the advisory lock's number must be the same in every version of headgate and of the
// server.
std::int64_t lock_number(const std::string& pipeline, const std::string& sink) {
  std::uint64_t hash = 14695981039346656037U;
  for (const char c : "headgate/" + pipeline + "/" + sink) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
  }
  return static_cast<std::int64_t>(hash);
}

std::string milliseconds(Duration duration) {
  return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}

}  // namespace

PostgresSink::PostgresSink(Options options, Logger log)
    : options_(std::move(options)),
      log_(std::move(log)),
      positions_(options_),
      registry_(options_) {}

pq::ConnectOptions PostgresSink::connect_options() const {
  pq::ConnectOptions connect;
  connect.conninfo = options_.conninfo;
  connect.password = options_.password;
  connect.role = "sink " + options_.name;
  connect.ends_with_peer = true;
  connect.application_name = fmt::format("headgate {} pid {}", options_.pipeline, ::getpid());
  connect.settings = pq::text_format_settings();
  connect.settings.insert(
      connect.settings.end(),
      {{"search_path", "pg_catalog"},
       {"default_transaction_isolation", "read committed"},
       {"statement_timeout", "0"},
       {"lock_timeout", milliseconds(options_.lock_timeout)},
       {"idle_in_transaction_session_timeout", milliseconds(options_.idle_in_transaction_timeout)},
       // Every statement of ours finds its rows by key. A plan made while a table was small must
       // not go on scanning it when it has grown.
       {"enable_seqscan", "off"},
       {"enable_hashjoin", "off"},
       {"enable_mergejoin", "off"}});
  return connect;
}

SinkPosition PostgresSink::connect() {
  disconnect();
  connection_ = std::make_unique<pq::Connection>(connect_options());
  // Pinned: a reload of the server's settings must not make commits asynchronous behind our back.
  const pq::Result state = connection_->exec(
      "SELECT set_config('synchronous_commit', current_setting('synchronous_commit'), false), "
      "pg_is_in_recovery(), pg_backend_pid()",
      "look at the server");
  if (state.boolean(0, 1)) {
    throw Error{ErrorKind::kTransient, connection_->role() + ": the server is a standby",
                "point dsn to the primary (target_session_attrs=read-write)"};
  }
  commits_are_durable_ = state.value(0, 0) != "off";
  take_session_lock();
  locking_session_ = state.integer(0, 2);
  set_up_origin();
  positions_.create(*connection_);
  registry_.create(*connection_);
  return positions_.take_over(*connection_);
}

// A rollback() that failed has closed it.
void PostgresSink::require_connection() const {
  if (!connection_) {
    throw Error{ErrorKind::kTransient, "sink " + options_.name + ": the connection is lost"};
  }
}

// Behind the lock: a server lets one session at a time have an origin.
void PostgresSink::set_up_origin() {
  if (options_.replication_origin.empty()) {
    return;
  }
  const std::string& origin = options_.replication_origin;
  try {
    connection_->exec(
        "SELECT pg_replication_origin_create($1) WHERE pg_replication_origin_oid($1) IS NULL",
        {origin}, "create replication origin " + origin);
    connection_->exec("SELECT pg_replication_origin_session_setup($1)", {origin},
                      "use replication origin " + origin);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kTransient) {
      throw Error{error.kind(), error.what(),
                  "one session at a time has an origin, in the whole server: give each sink a name "
                  "of its own"};
    }
    throw Error{error.kind(), error.what(),
                fmt::format("a name that is not reserved, a free place among the server's origins, "
                            "and: GRANT EXECUTE ON FUNCTION pg_replication_origin_create(text), "
                            "pg_replication_origin_oid(text), "
                            "pg_replication_origin_session_setup(text) TO {};",
                            connection_->quoted_user())};
  }
}

// Liveness only: a second process waits here instead of fighting over epochs. Safety is the epoch.
void PostgresSink::take_session_lock() {
  const std::string number = std::to_string(lock_number(options_.pipeline, options_.name));
  const pq::Result taken = connection_->exec("SELECT pg_try_advisory_lock($1::int8)", {number},
                                             "take the pipeline's lock");
  if (taken.boolean(0, 0)) {
    return;
  }
  const pq::Result holder = connection_->exec(
      "SELECT l.pid, a.application_name, coalesce(host(a.client_addr), 'this machine') "
      "FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid) "
      "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
      "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
      "AND (l.classid::int8 << 32 | l.objid::int8) = $1::int8",
      {number}, "find the holder of the pipeline's lock");
  if (holder.rows() == 0) {
    throw Error{ErrorKind::kTransient,
                fmt::format("{}: the lock of pipeline {} is being given up at this moment",
                            connection_->role(), options_.pipeline)};
  }
  if (holder.integer(0, 0) == locking_session_) {
    throw Error{ErrorKind::kTransient,
                fmt::format("{}: the server has not noticed yet that our earlier session (server "
                            "pid {}) is gone",
                            connection_->role(), locking_session_)};
  }
  const std::string who = fmt::format("another process ({} from {}, server pid {})",
                                      holder.value(0, 1), holder.value(0, 2), holder.value(0, 0));
  throw Error{
      ErrorKind::kLocked,
      fmt::format("{}: {} holds the lock of pipeline {}; waiting for it to end",
                  connection_->role(), who, options_.pipeline),
      fmt::format("two pipelines need two names (`pipeline:`); a process that hangs lets go "
                  "after SELECT pg_terminate_backend({})",
                  holder.value(0, 0))};
}

std::string PostgresSink::place() {
  require_connection();
  return pq::database_identity(sql());
}

void PostgresSink::begin() {
  require_connection();
  in_transaction_ = true;
  positions_.begin(*connection_);
}

void PostgresSink::prepare_table(const SinkConfigPtr& table, MissingTable missing) {
  TargetTable target = open_target_table(sql(), *table, missing);
  if (target.needs_source_order) {
    log_->info(
        "table is written in source order sink={} table={} reason=\"constraints or triggers\"",
        options_.name, table->output.name.to_string());
  }
  if (target.created) {
    created_.insert(table.get());
  }
  tables_[table.get()] = {
      std::make_unique<TableWriter>(sql(), table, std::move(target), ++tables_prepared_), false};
}

TableRecords PostgresSink::known_tables() {
  require_connection();
  return registry_.read(sql());
}

void PostgresSink::remember_table(const TableRecord& record) {
  registry_.write(sql(), record);
}

void PostgresSink::forget_tables() {
  registry_.clear(sql());
}

void PostgresSink::forget_table(const TableRecord& record) {
  registry_.remove(sql(), record);
}

std::string PostgresSink::forget_statement(const TableRecord& record) const {
  return registry_.forget_statement(record);
}

AlterationPlan PostgresSink::plan_alteration(const SinkConfig& now, const TableRecord& before) {
  return postgres::plan_alteration(sql(), now, before);
}

AlterationPlan PostgresSink::plan_replacement(const SinkConfig& now, const TableRecord& occupant) {
  return postgres::plan_replacement(sql(), now, occupant);
}

// In the transaction of the rows that come with it: PostgreSQL's DDL is transactional.
void PostgresSink::alter_table(const AlterationPlan& plan) {
  for (const std::string& statement : plan.statements) {
    sql().exec(statement, "alter a table");
  }
}

void PostgresSink::prepare_copy(const SinkConfig& table, ExistingRows existing) {
  TableWriter& target = writer(&table);
  const pq::Result rows =
      sql().exec(fmt::format("SELECT EXISTS (SELECT 1 FROM {})", target.table().quoted_name),
                 "look into table " + table.output.name.to_string());
  if (!rows.boolean(0, 0)) {
    if (created_.contains(&table) && !table.output.key.empty()) {
      put_off_key(table);
    }
    return;
  }
  switch (existing) {
    case ExistingRows::kRefuse:
      throw Error{ErrorKind::kOperator,
                  fmt::format("table {} holds rows already, and snapshot.existing is refuse",
                              table.output.name.to_string()),
                  "empty it, or set snapshot.existing to replace (delete them first) or keep"};
    case ExistingRows::kReplace:
      target.erase_all();
      return;
    case ExistingRows::kKeep:
      tables_.at(&table).copies_over_rows = !table.output.key.empty();
      return;
  }
}

// Rows are copied in half the time where their key is built at the end, in one go.
void PostgresSink::put_off_key(const SinkConfig& table) {
  const std::string& name = writer(&table).table().quoted_name;
  const std::string doing = "put off the key of table " + table.output.name.to_string();
  const pq::Result key = sql().exec(
      "SELECT quote_ident(conname), pg_get_constraintdef(oid) FROM pg_constraint "
      "WHERE conrelid = $1::regclass AND contype = 'p'",
      {name}, doing);
  if (key.rows() == 0) {
    return;
  }
  sql().exec(fmt::format("ALTER TABLE {} DROP CONSTRAINT {}", name, key.value(0, 0)), doing);
  keys_to_build_.push_back(
      fmt::format("ALTER TABLE {} ADD CONSTRAINT {} {}", name, key.value(0, 0), key.value(0, 1)));
}

void PostgresSink::build_keys() {
  for (const std::string& statement : keys_to_build_) {
    sql().exec(statement, "build the key of a table whose rows are copied");
  }
  keys_to_build_.clear();
}

TableWriter& PostgresSink::writer(const SinkConfig* table) {
  finish_open_copy();
  return *prepared(table).writer;
}

const TargetTable& PostgresSink::target(const SinkConfig* table) const {
  return prepared(table).writer->table();
}

const PostgresSink::Prepared& PostgresSink::prepared(const SinkConfig* table) const {
  const auto found = tables_.find(table);
  HEADGATE_CHECK(found != tables_.end(), "a table is prepared before it is written to");
  return found->second;
}

void PostgresSink::commit(const CommitMark& mark) {
  build_keys();
  // Deferred constraints fail here, while the transaction can still be taken apart, not in COMMIT.
  if (any_in_source_order()) {
    sql().exec("SET CONSTRAINTS ALL IMMEDIATE", "check deferred constraints");
  }
  if (broken(Break::kPositionOutsideTx)) {
    sql().exec("COMMIT; BEGIN", "commit");
  }
  positions_.commit(sql(), mark);
  in_transaction_ = false;
  created_.clear();
}

bool PostgresSink::any_in_source_order() const {
  return std::any_of(tables_.begin(), tables_.end(), [](const auto& entry) {
    return entry.second.writer->table().needs_source_order;
  });
}

void PostgresSink::keep_alive() {
  sql().exec("SELECT 1", "keep the transaction open");
}

void PostgresSink::rollback() noexcept {
  if (!in_transaction_ || !connection_) {
    return;
  }
  in_transaction_ = false;
  // Tables created in it are gone, and with them what was prepared for them.
  forget_prepared();
  try {
    connection_->exec("ROLLBACK", "roll back");
  } catch (const std::exception& error) {
    log_->debug("rollback not confirmed sink={} error=\"{}\"", options_.name, error.what());
    disconnect();
  }
}

void PostgresSink::forget_prepared() noexcept {
  open_copy_.reset();
  tables_.clear();
  created_.clear();
  keys_to_build_.clear();
}

void PostgresSink::flush() {
  require_connection();
  // Any synchronous commit flushes the log up to itself, and with it every earlier commit.
  in_transaction_ = true;
  positions_.begin(*connection_);
  connection_->exec(fmt::format("SET LOCAL synchronous_commit = on; "
                                "UPDATE {}.headgate_positions SET updated_at = clock_timestamp() "
                                "WHERE pipeline = {} AND sink = {}; COMMIT",
                                pq::quote_identifier(options_.own_schema),
                                connection_->quote_literal(options_.pipeline),
                                connection_->quote_literal(options_.name)),
                    "flush");
  in_transaction_ = false;
}

void PostgresSink::disconnect() noexcept {
  in_transaction_ = false;
  forget_prepared();
  connection_.reset();
}

}  // namespace headgate::sink::postgres
