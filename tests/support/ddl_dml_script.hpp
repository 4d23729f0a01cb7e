// A long script of an application that nobody wrote: rows of every type and tables of every kind,
// changed and altered in transactions of all sizes over several sessions at once. The seed decides,
// and the same seed writes the same script.

#pragma once

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "demo/pg_session.hpp"
#include "support/script_ddl.hpp"
#include "support/script_dml.hpp"
#include "support/script_random.hpp"
#include "support/script_table.hpp"

namespace headgate::test {

// Writes the script and runs it, statement by statement, from one thread. Statements wait for no
// lock; one that fails (two keys meet, another session has the lock) takes its transaction back, or
// the part since a savepoint, as an application would.
//
// Not thread-safe. A statement that is wrong in itself throws demo::PgError.
class DdlDmlScript {
 public:
  struct Counts {
    std::uint64_t statements = 0;  // that succeeded
    std::uint64_t alterations = 0;
    std::uint64_t failed = 0;
    std::uint64_t commits = 0;
    std::uint64_t rollbacks = 0;  // also to savepoints
    std::uint64_t prepared = 0;
  };

  // The server must allow prepared transactions. All that is run is written to `file` first.
  DdlDmlScript(const std::string& conninfo, const std::string& file, std::uint64_t seed);

  // Makes schema `shop` with its tables, and some rows.
  void create_tables();

  // One statement more in one of the sessions.
  void step();

  // Ends all transactions, the prepared ones too, one way or another.
  void finish_transactions();

  // A row more in each table, since the sinks hear of an altered table with its next row only.
  //
  // REQUIRES: no transaction is open.
  void touch_tables();

  // The sinks have followed up to the last touch_tables(), and nothing was run since.
  void settled();

  // Puts a remark into the script, such as what happened to others meanwhile.
  void note(const std::string& what);

  // `schema.table`, by their names now.
  std::vector<std::string> tables() const;

  const Counts& counts() const { return counts_; }
  // The last statements, for messages.
  std::string last_statements() const;

 private:
  // Tables as they were before they were altered, by their number.
  using Altered = std::map<std::size_t, ScriptTable>;

  struct Session {
    explicit Session(const std::string& conninfo, int session_number);

    int number;
    demo::PgSession connection;
    // One for the transaction and one for each savepoint in it; empty: none is open.
    std::vector<Altered> levels;
  };
  struct Prepared {
    std::string name;
    Altered altered;
  };

  void write(const std::string& line);
  bool run(Session& session, const std::string& sql);
  void run_or_undo(Session& session, const std::string& sql);
  void change_rows(Session& session);
  void alter_table(Session& session);
  void maintain(Session& session);
  void begin(Session& session);
  void set_savepoint(Session& session);
  void release_savepoint(Session& session);
  void undo_to_savepoint(Session& session);
  void commit(Session& session);
  void roll_back(Session& session);
  void prepare(Session& session);
  void end_prepared(Session& session);

  void restore(const Altered& altered);
  void disown(const Altered& altered);
  std::size_t table_for(const Session& session);
  bool is_free(std::size_t table, const Session& session) const;

  ScriptRandom random_;
  std::vector<ScriptTable> tables_;
  std::vector<std::unique_ptr<Session>> sessions_;
  std::vector<Prepared> prepared_;
  // Tables that a transaction, by its session's number, has altered: nobody else can use them.
  std::map<std::size_t, int> owners_;
  std::ofstream file_;
  std::vector<std::string> last_;
  Counts counts_;
  int names_ = 0;
  std::string copy_file_;
  ScriptDml dml_;
  ScriptDdl ddl_;
};

}  // namespace headgate::test
