// Runs the batches of one connection.

#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "support/sqlserver_double/ast.hpp"
#include "support/sqlserver_double/query.hpp"
#include "support/sqlserver_double/session_state.hpp"

namespace headgate::test::sqlserver {

// What a batch answers, in order. Called without the engine's mutex.
class ResultSink {
 public:
  virtual ~ResultSink() = default;
  // A whole result, with its count unless `counted` is false.
  virtual void rows(std::vector<RowsetColumn> columns, std::vector<RowPtr> rows, bool counted) = 0;
  // The end of a statement without a result; with the number of rows it changed, or without any.
  virtual void done(std::optional<std::int64_t> count) = 0;
  virtual void error(const SqlError& error) = 0;
  virtual void message(const SqlError& message) = 0;
  virtual void database_changed(const std::string& from, const std::string& to) = 0;
};

// The running statement was told to end: the client sent attention or is gone, or the server stops.
struct Interrupted {};

struct NamedValue {
  std::string name;  // with its @
  TypedValue value;
};

// Not thread-safe: belongs to one connection's thread.
class Session {
 public:
  explicit Session(Engine& engine) : state_(engine) {}
  ~Session() { close(); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  SessionState& state() { return state_; }

  // SQL errors go to the sink. Throws Interrupted; the statement is then undone, while an open
  // transaction stays open, as after attention.
  void run_batch(const std::string& sql, ResultSink& sink);
  // As sp_executesql: variables of its own, which are the parameters.
  void run_parametrised(const std::string& sql, std::vector<NamedValue> parameters,
                        ResultSink& sink);
  // A procedure by name, as RPC calls it.
  void run_procedure(const std::string& name, const std::vector<NamedValue>& arguments,
                     ResultSink& sink);
  // The columns of a batch that is one SELECT; none for any other batch, or one that cannot be
  // bound.
  std::optional<std::vector<RowsetColumn>> describe(const std::string& sql,
                                                    const std::vector<NamedValue>& parameters);

  // Requests of the transaction manager, which drivers send in place of BEGIN TRAN and the like.
  void begin_transaction();
  void commit_transaction();
  void rollback_transaction();

  // Rolls back what is open.
  void close();

 private:
  struct Jump {
    std::string what;
  };
  struct BatchEnded {};

  // session.cpp: flow of control
  void run_statements(const std::vector<StatementPtr>& statements);
  void run_statement(const Statement& statement);
  void dispatch(const Statement& statement);
  void handle_error(const SqlError& error);
  void run_try(const TryStatement& attempt);
  void declare(const DeclareStatement& declare);
  void set_variable(const SetVariableStatement& set);
  void set_option(const SetOptionStatement& set);
  void transaction_statement(const TransactionStatement& statement);
  void message_statement(const MessageStatement& message);
  void wait_statement(const WaitStatement& wait);
  bool condition(const Expr& expr);
  TypedValue evaluate(const Expr& expr);
  ReadView read_view(bool for_write);
  // Runs `work` under the mutex, again after each wait for a lock. `writes`: inside a transaction,
  // which is its own unless one is open.
  void with_locks(bool writes, const std::function<void()>& work);
  void wait_for(TransactionId other, std::unique_lock<std::mutex>& lock);
  void end_transaction(bool commit);
  Transaction& transaction() { return *state_.transaction; }

  // dml.cpp
  void select(const Select& select);
  void insert(const InsertStatement& insert);
  void update(const UpdateStatement& update);
  void remove(const DeleteStatement& statement);
  void merge(const MergeStatement& merge);
  void truncate(const TruncateStatement& truncate);
  void finish_change(std::int64_t count, std::vector<RowsetColumn> columns,
                     std::vector<RowPtr> output, bool has_output);

  // ddl.cpp
  void create_table(const CreateTableStatement& create);
  void alter_table(const AlterTableStatement& alter, const std::string& text);
  void create_index(const CreateIndexStatement& create);
  void drop(const DropStatement& drop);
  void create(const CreateStatement& create);
  void create_sequence(const CreateSequenceStatement& create);
  void alter_database(const AlterDatabaseStatement& alter);
  void grant(const GrantStatement& grant);
  void use(const UseStatement& use);

  // procedures.cpp
  void execute(const ExecStatement& exec);
  void call(const std::string& name, const std::vector<NamedValue>& arguments);
  bool call_cdc(const std::string& name, const std::vector<NamedValue>& arguments);

  SessionState state_;
  ResultSink* sink_ = nullptr;
  int try_depth_ = 0;
  Isolation began_at_ = Isolation::kReadCommitted;
};

}  // namespace headgate::test::sqlserver
