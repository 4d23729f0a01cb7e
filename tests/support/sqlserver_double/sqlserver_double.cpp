#include "support/sqlserver_double/sqlserver_double.hpp"

#include <atomic>
#include <mutex>
#include <optional>

#include "support/sqlserver_double/capture_thread.hpp"
#include "support/sqlserver_double/cdc.hpp"
#include "support/sqlserver_double/convert.hpp"
#include "support/sqlserver_double/listener.hpp"
#include "support/sqlserver_double/unicode.hpp"

namespace headgate::test {

using namespace sqlserver;

namespace {

// Keeps what a session answers, as text.
class TextSink : public ResultSink {
 public:
  void rows(std::vector<RowsetColumn> columns, std::vector<RowPtr> all, bool) override {
    SqlServerResult result;
    for (const RowsetColumn& column : columns) {
      result.columns.push_back(column.name);
    }
    for (const RowPtr& row : all) {
      std::vector<std::string> texts;
      for (std::size_t at = 0; at < row->size(); ++at) {
        texts.push_back(is_null((*row)[at]) ? "NULL" : display_text((*row)[at], columns[at].type));
      }
      result.rows.push_back(std::move(texts));
    }
    results.push_back(std::move(result));
  }
  void done(std::optional<std::int64_t>) override {}
  void error(const SqlError& error) override { first_error = first_error ? first_error : error; }
  void message(const SqlError&) override {}
  void database_changed(const std::string&, const std::string&) override {}

  std::vector<SqlServerResult> results;
  std::optional<SqlError> first_error;
};

}  // namespace

class SqlServerDouble::Backup {
 public:
  std::unique_ptr<Database> database;
};

class SqlServerDouble::Parts {
 public:
  explicit Parts(SqlServerOptions given)
      : options(std::move(given)),
        server{engine, faults,
               [this](ReceivedStatement statement) {
                 std::lock_guard lock(statements_mutex);
                 statements.push_back(std::move(statement));
               },
               [this] {
                 std::lock_guard lock(statements_mutex);
                 return chunks;
               },
               stopping},
        listener(server) {
    engine.traits = options.traits;
    engine.logins[lower(options.login)] = Login{options.login, options.password, true, {}};
    engine.create_database(options.database);
    listener.start();
  }

  Database& database() {
    Database* found = engine.database(options.database);
    if (found == nullptr) {
      throw SqlError(911, "Database '" + options.database + "' does not exist.");
    }
    return *found;
  }

  void restart_capture() {
    capture_thread.reset();
    if (mode == CaptureMode::kAutomatic) {
      capture_thread = std::make_unique<CaptureThread>(engine, lag, idle_interval);
    }
  }

  SqlServerOptions options;
  Engine engine;
  FaultScript faults;
  std::atomic<bool> stopping{false};
  std::mutex statements_mutex;
  std::vector<ReceivedStatement> statements;  // guarded by statements_mutex
  ChunkRules chunks;                          // guarded by statements_mutex
  ServerParts server;
  Listener listener;
  CaptureMode mode = CaptureMode::kManual;
  CaptureThread::Lag lag = [] { return std::chrono::milliseconds(0); };
  std::chrono::milliseconds idle_interval{1000};
  std::unique_ptr<CaptureThread> capture_thread;
  Transaction* open_capture = nullptr;  // guarded by the engine's mutex
};

SqlServerDouble::SqlServerDouble(SqlServerOptions options)
    : parts_(std::make_unique<Parts>(std::move(options))) {}

SqlServerDouble::~SqlServerDouble() {
  parts_->faults.clear();
  parts_->capture_thread.reset();
  parts_->listener.stop();
}

int SqlServerDouble::port() const {
  return parts_->listener.port();
}

std::string SqlServerDouble::connection_string(const std::string& driver) const {
  return "Driver=" + driver + ";Server=127.0.0.1;Port=" + std::to_string(port()) +
         ";TDS_Version=7.4;ClientCharset=UTF-8;Encryption=off;Database=" +
         parts_->options.database + ";UID=" + parts_->options.login +
         ";PWD=" + parts_->options.password + ";";
}

void SqlServerDouble::stop() {
  parts_->listener.stop();
}
void SqlServerDouble::start() {
  parts_->listener.start();
}
void SqlServerDouble::drop_connections() {
  parts_->listener.drop_connections();
}
int SqlServerDouble::connections() const {
  return parts_->listener.accepted();
}

void SqlServerDouble::use_database(const std::string& name) {
  std::lock_guard lock(parts_->engine.mutex);
  parts_->options.database = name;
}

std::vector<SqlServerResult> SqlServerDouble::execute(const std::string& sql) {
  return execute_in(parts_->options.database, sql);
}

std::vector<SqlServerResult> SqlServerDouble::execute_in(const std::string& database,
                                                         const std::string& sql) {
  Session session(parts_->engine);
  session.state().login = parts_->options.login;
  session.state().database = database;
  session.state().lock_timeout_ms = 30'000;  // a test that waits for itself ends with 1222
  TextSink sink;
  session.run_batch(sql, sink);
  if (sink.first_error) {
    throw *sink.first_error;
  }
  return sink.results;
}

std::string SqlServerDouble::value(const std::string& sql) {
  const auto results = execute(sql);
  return results.empty() || results[0].rows.empty() ? std::string() : results[0].rows[0][0];
}

void SqlServerDouble::set_clock(std::function<Moment()> clock) {
  std::lock_guard lock(parts_->engine.mutex);
  parts_->engine.clock = std::move(clock);
}

void SqlServerDouble::change_traits(const std::function<void(ServerTraits&)>& change) {
  std::lock_guard lock(parts_->engine.mutex);
  change(parts_->engine.traits);
}

void SqlServerDouble::set_agent_running(bool running) {
  std::lock_guard lock(parts_->engine.mutex);
  parts_->engine.agent_running = running;
  for (Job* job : {&parts_->engine.capture_job, &parts_->engine.cleanup_job}) {
    job->running = job->exists && running;
  }
}

void SqlServerDouble::set_scanning(bool scanning) {
  std::lock_guard lock(parts_->engine.mutex);
  parts_->database().scanning = scanning;
}

void SqlServerDouble::add_capture_error(int number) {
  std::lock_guard lock(parts_->engine.mutex);
  parts_->database().capture_failures.push_back({number, parts_->engine.local_now()});
}

void SqlServerDouble::set_chunks(ChunkRules chunks) {
  std::lock_guard lock(parts_->statements_mutex);
  parts_->chunks = chunks;
}

void SqlServerDouble::set_capture(CaptureMode mode, std::chrono::milliseconds lag) {
  set_capture(mode, [lag] { return lag; });
}

void SqlServerDouble::set_capture(CaptureMode mode,
                                  std::function<std::chrono::milliseconds()> lag) {
  parts_->mode = mode;
  parts_->lag = std::move(lag);
  parts_->restart_capture();
}

void SqlServerDouble::set_idle_rows(std::chrono::milliseconds interval) {
  parts_->idle_interval = interval;
  parts_->restart_capture();
}

std::size_t SqlServerDouble::capture(std::size_t transactions_max) {
  std::lock_guard lock(parts_->engine.mutex);
  return sqlserver::capture(parts_->engine, parts_->database(), transactions_max);
}

void SqlServerDouble::capture_uncommitted(std::size_t transactions_max) {
  std::lock_guard lock(parts_->engine.mutex);
  if (parts_->open_capture != nullptr) {
    parts_->engine.commit(*parts_->open_capture);
  }
  parts_->open_capture =
      &sqlserver::capture_uncommitted(parts_->engine, parts_->database(), transactions_max);
}

void SqlServerDouble::commit_capture() {
  std::lock_guard lock(parts_->engine.mutex);
  if (parts_->open_capture != nullptr) {
    parts_->engine.commit(*parts_->open_capture);
    parts_->open_capture = nullptr;
  }
}

void SqlServerDouble::write_idle_row() {
  std::lock_guard lock(parts_->engine.mutex);
  sqlserver::write_idle_row(parts_->engine, parts_->database());
}

std::size_t SqlServerDouble::uncaptured() const {
  std::lock_guard lock(parts_->engine.mutex);
  return parts_->database().uncaptured.size();
}

std::string SqlServerDouble::log_end() const {
  std::lock_guard lock(parts_->engine.mutex);
  return parts_->database().log_end;
}

std::string SqlServerDouble::max_lsn() const {
  std::lock_guard lock(parts_->engine.mutex);
  return sqlserver::max_lsn(parts_->engine, parts_->database()).value_or("");
}

std::string SqlServerDouble::start_lsn(const std::string& capture_instance) const {
  std::lock_guard lock(parts_->engine.mutex);
  const CaptureInstance* instance = parts_->database().instance(capture_instance);
  return instance == nullptr ? std::string() : instance->start_lsn;
}

void SqlServerDouble::cleanup(std::chrono::minutes retention) {
  std::lock_guard lock(parts_->engine.mutex);
  if (const auto mark = low_water_mark(parts_->engine, parts_->database(), retention.count())) {
    sqlserver::raise_low_water_mark(parts_->database(), *mark);
    sqlserver::delete_below_low_water_mark(parts_->engine, parts_->database());
  }
}

void SqlServerDouble::cleanup_to(const std::string& lsn, const std::string& capture_instance) {
  raise_low_water_mark(lsn, capture_instance);
  delete_below_low_water_mark();
}

void SqlServerDouble::raise_low_water_mark(const std::string& lsn,
                                           const std::string& capture_instance) {
  std::lock_guard lock(parts_->engine.mutex);
  sqlserver::raise_low_water_mark(parts_->database(), lsn, capture_instance);
}

void SqlServerDouble::delete_below_low_water_mark() {
  std::lock_guard lock(parts_->engine.mutex);
  sqlserver::delete_below_low_water_mark(parts_->engine, parts_->database());
}

std::shared_ptr<const SqlServerDouble::Backup> SqlServerDouble::backup() const {
  std::lock_guard lock(parts_->engine.mutex);
  auto backup = std::make_shared<Backup>();
  backup->database = parts_->database().copy();
  return backup;
}

void SqlServerDouble::restore(const std::shared_ptr<const Backup>& backup) {
  parts_->capture_thread.reset();
  parts_->listener.stop();
  {
    std::lock_guard lock(parts_->engine.mutex);
    auto restored = backup->database->copy();
    restored->recovery_fork_guid = random_guid();
    parts_->open_capture = nullptr;
    parts_->engine.replace_database(parts_->options.database, std::move(restored));
  }
  parts_->listener.start();
  parts_->restart_capture();
}

FaultScript& SqlServerDouble::faults() {
  return parts_->faults;
}

std::vector<ReceivedStatement> SqlServerDouble::statements() const {
  std::lock_guard lock(parts_->statements_mutex);
  return parts_->statements;
}

std::size_t SqlServerDouble::count_statements(const std::string& text) const {
  std::size_t count = 0;
  for (const ReceivedStatement& statement : statements()) {
    count += lower(statement.text).find(lower(text)) != std::string::npos ? 1u : 0u;
  }
  return count;
}

void SqlServerDouble::forget_statements() {
  std::lock_guard lock(parts_->statements_mutex);
  parts_->statements.clear();
}

}  // namespace headgate::test
