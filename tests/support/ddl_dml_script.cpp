#include "support/ddl_dml_script.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "support/script_values.hpp"

namespace headgate::test {

namespace {

constexpr int kSessions = 4;
constexpr std::size_t kLastStatements = 40;
constexpr int kPreparedOwner = -1;  // whose transaction no session has any more

// What an application must expect when several of it write: locks, and keys that meet.
bool is_expected(const demo::PgError& error) {
  constexpr std::array<std::string_view, 9> kExpected{
      "55P03",  // lock_not_available
      "40P01",  // deadlock_detected
      "23502",  // not_null_violation: a reference to a row that is gone
      "23503",  // foreign_key_violation
      "23505",  // unique_violation
      "23514",  // check_violation: no partition for a row, or a row in the way of a partition
      "21000",  // cardinality_violation: ON CONFLICT or MERGE met a row twice
      "54000",  // program_limit_exceeded: a new index also covers old, large versions of its rows
      "55006",  // object_in_use
  };
  return std::find(kExpected.begin(), kExpected.end(), error.sqlstate()) != kExpected.end();
}

std::string copy_file_of(const std::string& conninfo) {
  return demo::PgSession(conninfo).value("SHOW data_directory") + "/script_copy.txt";
}

}  // namespace

DdlDmlScript::Session::Session(const std::string& conninfo, int session_number)
    : number(session_number), connection(conninfo) {
  connection.execute("SET lock_timeout = '15ms'; SET client_min_messages = warning");
}

DdlDmlScript::DdlDmlScript(const std::string& conninfo, const std::string& file, std::uint64_t seed)
    : random_(seed),
      tables_(script_tables(random_)),
      file_(file),
      copy_file_(copy_file_of(conninfo)),
      dml_(tables_, random_, copy_file_),
      ddl_(random_) {
  for (int number = 1; number <= kSessions; ++number) {
    sessions_.push_back(std::make_unique<Session>(conninfo, number));
  }
}

void DdlDmlScript::create_tables() {
  Session& session = *sessions_.front();
  run(session, std::string("CREATE SCHEMA shop; CREATE SCHEMA parts; ") + kCreateValueTypes);
  for (const ScriptTable& table : tables_) {
    run(session, create_sql(table, tables_));
  }
  for (std::size_t table = 0; table < tables_.size(); ++table) {
    run(session, dml_.insert(table, random_.between(20, 200)));
  }
}

void DdlDmlScript::step() {
  Session& session = *random_.pick(sessions_);
  const auto choice = random_.between(1, 100);
  if (session.levels.empty()) {
    if (choice <= 4 && !prepared_.empty()) {
      end_prepared(session);
    } else if (choice <= 7) {
      maintain(session);
    } else if (choice <= 22) {
      change_rows(session);
    } else if (choice <= 40) {
      alter_table(session);
    } else {
      begin(session);
    }
    return;
  }
  if (choice <= 54) {
    change_rows(session);
  } else if (choice <= 68) {
    alter_table(session);
  } else if (choice <= 77) {
    set_savepoint(session);
  } else if (choice <= 80) {
    release_savepoint(session);
  } else if (choice <= 84) {
    undo_to_savepoint(session);
  } else if (choice <= 96) {
    commit(session);
  } else if (choice <= 98) {
    roll_back(session);
  } else {
    prepare(session);
  }
}

void DdlDmlScript::finish_transactions() {
  for (const auto& session : sessions_) {
    if (!session->levels.empty()) {
      random_.chance(80) ? commit(*session) : roll_back(*session);
    }
  }
  while (!prepared_.empty()) {
    end_prepared(*sessions_.front());
  }
}

void DdlDmlScript::touch_tables() {
  for (std::size_t table = 0; table < tables_.size(); ++table) {
    // With keys of its own making it may meet a row, and then there is no change.
    for (bool touched = false; !touched;) {
      touched = run(*sessions_.front(), dml_.insert(table, 3));
    }
  }
}

void DdlDmlScript::settled() {
  for (ScriptTable& table : tables_) {
    table.changed = ScriptTable::Changed::kNothing;
    for (ScriptColumn& column : table.columns) {
      column.fresh = false;
    }
  }
}

std::vector<std::string> DdlDmlScript::tables() const {
  std::vector<std::string> names;
  for (const ScriptTable& table : tables_) {
    names.push_back("shop." + table.name);
  }
  return names;
}

std::string DdlDmlScript::last_statements() const {
  std::string text;
  for (const std::string& statement : last_) {
    constexpr std::size_t kShown = 300;
    text += statement.substr(0, kShown) + (statement.size() > kShown ? " …\n" : "\n");
  }
  return text;
}

void DdlDmlScript::note(const std::string& what) {
  write("-- " + what);
}

void DdlDmlScript::write(const std::string& line) {
  file_ << line << std::endl;
  last_.push_back(line);
  if (last_.size() > kLastStatements) {
    last_.erase(last_.begin());
  }
}

// False when it failed in a way that may happen.
bool DdlDmlScript::run(Session& session, const std::string& sql) {
  write(fmt::format("/* session {} */ {};", session.number, sql));
  try {
    session.connection.execute(sql);
    ++counts_.statements;
    return true;
  } catch (const demo::PgError& error) {
    note(std::string("failed: ") + error.what());
    if (!is_expected(error)) {
      throw;
    }
    ++counts_.failed;
    return false;
  }
}

void DdlDmlScript::run_or_undo(Session& session, const std::string& sql) {
  if (run(session, sql) || session.levels.empty()) {
    return;
  }
  session.levels.size() > 1 ? undo_to_savepoint(session) : roll_back(session);
}

void DdlDmlScript::change_rows(Session& session) {
  run_or_undo(session, dml_.any(table_for(session)));
}

void DdlDmlScript::alter_table(Session& session) {
  const std::size_t number = table_for(session);
  ScriptTable before = tables_[number];
  const std::string sql = ddl_.any(tables_[number]);
  if (sql.empty()) {
    return;
  }
  ++counts_.alterations;
  if (session.levels.empty()) {
    if (!run(session, sql)) {
      restore({{number, std::move(before)}});
    }
    return;
  }
  owners_[number] = session.number;
  session.levels.back().try_emplace(number, std::move(before));
  run_or_undo(session, sql);
}

// What changes no row, and yet stands in the log.
void DdlDmlScript::maintain(Session& session) {
  const std::size_t number = table_for(session);
  const std::string table = tables_[number].sql_name();
  if (random_.chance(30) && !tables_[number].has_fresh_column()) {
    run(session, "VACUUM FULL " + table);
  } else if (random_.chance(50)) {
    run(session, "ANALYZE " + table);
  } else {
    run(session, fmt::format("SELECT pg_logical_emit_message({}, 'script', repeat('x', {}))",
                             random_.chance(50), random_.magnitude(100'000)));
  }
}

void DdlDmlScript::begin(Session& session) {
  if (run(session, "BEGIN")) {
    session.levels.emplace_back();
  }
}

void DdlDmlScript::set_savepoint(Session& session) {
  if (run(session, fmt::format("SAVEPOINT s{}", session.levels.size()))) {
    session.levels.emplace_back();
  }
}

void DdlDmlScript::release_savepoint(Session& session) {
  if (session.levels.size() > 1 &&
      run(session, fmt::format("RELEASE SAVEPOINT s{}", session.levels.size() - 1))) {
    Altered released = std::move(session.levels.back());
    session.levels.pop_back();
    session.levels.back().merge(released);  // what was kept there is older
  }
}

void DdlDmlScript::undo_to_savepoint(Session& session) {
  if (session.levels.size() > 1) {
    run(session, fmt::format("ROLLBACK TO SAVEPOINT s{0}; RELEASE SAVEPOINT s{0}",
                             session.levels.size() - 1));
    ++counts_.rollbacks;
    restore(session.levels.back());
    session.levels.pop_back();
  }
}

void DdlDmlScript::commit(Session& session) {
  if (!run(session, "COMMIT")) {
    throw std::logic_error("a COMMIT failed");
  }
  ++counts_.commits;
  for (const Altered& altered : std::exchange(session.levels, {})) {
    disown(altered);
  }
}

void DdlDmlScript::roll_back(Session& session) {
  run(session, "ROLLBACK");
  ++counts_.rollbacks;
  while (!session.levels.empty()) {
    restore(session.levels.back());
    disown(session.levels.back());
    session.levels.pop_back();
  }
}

void DdlDmlScript::prepare(Session& session) {
  Prepared prepared{fmt::format("script {}", ++names_), {}};
  if (!run(session, fmt::format("PREPARE TRANSACTION '{}'", prepared.name))) {
    throw std::logic_error("a PREPARE TRANSACTION failed");
  }
  ++counts_.prepared;
  for (Altered& altered : session.levels) {
    for (const auto& entry : altered) {
      owners_[entry.first] = kPreparedOwner;
    }
    prepared.altered.merge(altered);
  }
  session.levels.clear();
  prepared_.push_back(std::move(prepared));
}

void DdlDmlScript::end_prepared(Session& session) {
  const Prepared prepared = std::move(prepared_.front());
  prepared_.erase(prepared_.begin());
  const bool committed = random_.chance(75);
  run(session, fmt::format("{} PREPARED '{}'", committed ? "COMMIT" : "ROLLBACK", prepared.name));
  if (!committed) {
    restore(prepared.altered);
  }
  disown(prepared.altered);
}

void DdlDmlScript::restore(const Altered& altered) {
  for (const auto& [number, before] : altered) {
    const std::int64_t next_number = tables_[number].next_number;
    tables_[number] = before;
    tables_[number].next_number = next_number;
  }
}

void DdlDmlScript::disown(const Altered& altered) {
  for (const auto& entry : altered) {
    owners_.erase(entry.first);
  }
}

// One that no other transaction has altered; there is always one, since each alters few.
std::size_t DdlDmlScript::table_for(const Session& session) {
  std::vector<std::size_t> usable;
  for (std::size_t table = 0; table < tables_.size(); ++table) {
    if (is_free(table, session)) {
      usable.push_back(table);
    }
  }
  if (usable.empty()) {
    throw std::logic_error("every table is being altered");
  }
  return random_.pick(usable);
}

bool DdlDmlScript::is_free(std::size_t table, const Session& session) const {
  const auto owner = owners_.find(table);
  return owner == owners_.end() || owner->second == session.number;
}

}  // namespace headgate::test
