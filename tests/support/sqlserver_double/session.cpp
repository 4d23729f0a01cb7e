#include "support/sqlserver_double/session.hpp"

#include <chrono>
#include <cstdlib>

#include "support/sqlserver_double/convert.hpp"
#include "support/sqlserver_double/parser.hpp"
#include "support/sqlserver_double/unicode.hpp"

namespace headgate::test::sqlserver {

namespace {

using SteadyClock = std::chrono::steady_clock;
// How often a wait looks whether the client has given up.
constexpr std::chrono::milliseconds kWaitSlice{10};

template <typename... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};
template <typename... Handlers>
Overloaded(Handlers...) -> Overloaded<Handlers...>;

}  // namespace

void Session::run_batch(const std::string& sql, ResultSink& sink) {
  sink_ = &sink;
  state_.variables.clear();
  std::erase_if(state_.table_variables,
                [](const auto& entry) { return entry.first.starts_with("@"); });
  run_parametrised(sql, {}, sink);
}

void Session::run_parametrised(const std::string& sql, std::vector<NamedValue> parameters,
                               ResultSink& sink) {
  sink_ = &sink;
  const auto outer_variables = state_.variables;
  state_.variables.clear();
  for (NamedValue& parameter : parameters) {
    state_.variables[lower(parameter.name)] = std::move(parameter.value);
  }
  const int outer_depth = try_depth_;
  try {
    run_statements(parse_batch(sql));
  } catch (const SqlError& error) {
    if (outer_depth > 0) {
      state_.variables = outer_variables;
      throw;
    }
    state_.last_error = error.number();
    sink_->error(error);
  } catch (const BatchEnded&) {
  } catch (const Jump&) {
  } catch (...) {
    try_depth_ = 0;
    state_.caught.clear();
    throw;
  }
  try_depth_ = outer_depth;
  state_.variables = outer_variables;
}

void Session::run_procedure(const std::string& name, const std::vector<NamedValue>& arguments,
                            ResultSink& sink) {
  sink_ = &sink;
  try {
    call(name, arguments);
  } catch (const SqlError& error) {
    state_.last_error = error.number();
    sink_->error(error);
  } catch (const BatchEnded&) {
  } catch (const Jump&) {
  }
}

std::optional<std::vector<RowsetColumn>> Session::describe(
    const std::string& sql, const std::vector<NamedValue>& parameters) {
  try {
    const auto statements = parse_batch(sql);
    const auto* select_ptr =
        statements.size() == 1 ? std::get_if<SelectPtr>(&statements[0]->body) : nullptr;
    if (select_ptr == nullptr) {
      return std::nullopt;
    }
    std::lock_guard lock(state_.engine.mutex);
    for (const NamedValue& parameter : parameters) {
      state_.variables[lower(parameter.name)] = parameter.value;
    }
    Context context{state_, ReadView{state_.engine.last_commit(), 0, false, false}};
    return Plan(context, **select_ptr).columns();
  } catch (const SqlError&) {
    return std::nullopt;
  } catch (const LockedBy&) {
    return std::nullopt;
  }
}

void Session::run_statements(const std::vector<StatementPtr>& statements) {
  for (const StatementPtr& statement : statements) {
    run_statement(*statement);
  }
}

void Session::run_statement(const Statement& statement) {
  if (state_.interrupted()) {
    throw Interrupted{};
  }
  try {
    dispatch(statement);
    if (!std::holds_alternative<IfStatement>(statement.body)) {
      state_.last_error = 0;
    }
  } catch (const SqlError& error) {
    handle_error(error);
  }
}

void Session::handle_error(const SqlError& error) {
  state_.last_error = error.number();
  const bool aborts = error.ends_transaction() || (state_.xact_abort && error.severity() > 10);
  if (aborts && state_.tran_count > 0) {
    if (try_depth_ > 0 && error.number() != 1205) {
      state_.doomed = true;
    } else {
      std::lock_guard lock(state_.engine.mutex);
      end_transaction(false);
    }
  }
  if (try_depth_ > 0) {
    throw error;
  }
  sink_->error(error);
  if (aborts || error.ends_batch()) {
    throw BatchEnded{};
  }
}

void Session::dispatch(const Statement& statement) {
  std::visit(Overloaded{[this](const SelectPtr& body) { select(*body); },
                        [this](const InsertStatement& body) { insert(body); },
                        [this](const UpdateStatement& body) { update(body); },
                        [this](const DeleteStatement& body) { remove(body); },
                        [this](const MergeStatement& body) { merge(body); },
                        [this](const TruncateStatement& body) { truncate(body); },
                        [this](const CreateTableStatement& body) { create_table(body); },
                        [this, &statement](const AlterTableStatement& body) {
                          alter_table(body, statement.text);
                        },
                        [this](const DropStatement& body) { drop(body); },
                        [this](const CreateIndexStatement& body) { create_index(body); },
                        [this](const CreateStatement& body) { create(body); },
                        [this](const CreateSequenceStatement& body) { create_sequence(body); },
                        [this](const AlterDatabaseStatement& body) { alter_database(body); },
                        [this](const GrantStatement& body) { grant(body); },
                        [this](const UseStatement& body) { use(body); },
                        [this](const TransactionStatement& body) { transaction_statement(body); },
                        [this](const SetOptionStatement& body) { set_option(body); },
                        [this](const SetVariableStatement& body) { set_variable(body); },
                        [this](const DeclareStatement& body) { declare(body); },
                        [this](const BlockStatement& body) { run_statements(body.statements); },
                        [this](const IfStatement& body) {
                          if (condition(*body.condition)) {
                            run_statement(*body.then);
                          } else if (body.otherwise) {
                            run_statement(*body.otherwise);
                          }
                        },
                        [this](const WhileStatement& body) {
                          while (condition(*body.condition)) {
                            try {
                              run_statement(*body.body);
                            } catch (const Jump& jump) {
                              if (jump.what == "break") {
                                break;
                              }
                              if (jump.what == "return") {
                                throw;
                              }
                            }
                          }
                        },
                        [](const JumpStatement& body) { throw Jump{body.what}; },
                        [this](const TryStatement& body) { run_try(body); },
                        [this](const MessageStatement& body) { message_statement(body); },
                        [this](const WaitStatement& body) { wait_statement(body); },
                        [this](const ExecStatement& body) { execute(body); }},
             statement.body);
}

void Session::run_try(const TryStatement& attempt) {
  std::optional<SqlError> caught;
  ++try_depth_;
  try {
    run_statements(attempt.body.statements);
  } catch (const SqlError& error) {
    caught = error;
  } catch (const Jump&) {
    --try_depth_;
    throw;
  }
  --try_depth_;
  if (!caught) {
    return;
  }
  state_.caught.push_back(*caught);
  try {
    run_statements(attempt.handler.statements);
  } catch (...) {
    state_.caught.pop_back();
    throw;
  }
  state_.caught.pop_back();
}

TypedValue Session::evaluate(const Expr& expr) {
  TypedValue result;
  with_locks(false, [&] {
    Context context{state_, read_view(false)};
    const Scope scope;
    const Bound bound = Binder(context, scope).bind(expr);
    result = {bound.type, bound.eval({})};
  });
  return result;
}

bool Session::condition(const Expr& expr) {
  return is_true(evaluate(expr).value);
}

void Session::declare(const DeclareStatement& declare) {
  for (const auto& item : declare.items) {
    const std::string name = lower(item.variable);
    if (!item.table.empty()) {
      CreateTableStatement create;
      create.table = {item.variable};
      for (const ColumnDef& column : item.table) {
        ColumnDef copy;
        copy.name = column.name;
        copy.type = column.type;
        copy.nullable = column.nullable;
        copy.primary_key = column.primary_key;
        copy.identity = column.identity;
        create.columns.push_back(std::move(copy));
      }
      state_.table_variables.erase(name);
      create_table(create);
      continue;
    }
    TypedValue value{item.type, Null{}};
    if (item.value) {
      const TypedValue given = evaluate(*item.value);
      value.value = convert(given.value, given.type, item.type);
    }
    state_.variables[name] = value;
  }
}

void Session::set_variable(const SetVariableStatement& set) {
  const auto found = state_.variables.find(lower(set.variable));
  if (found == state_.variables.end()) {
    throw SqlError(137, "Must declare the scalar variable \"" + set.variable + "\".", 15, 2);
  }
  TypedValue value = evaluate(*set.expr);
  if (set.op != "=") {
    const Bound combined =
        arithmetic(set.op.substr(0, 1), constant(found->second.type, found->second.value),
                   constant(value.type, value.value));
    value = {combined.type, combined.eval({})};
  }
  found->second.value = convert(value.value, value.type, found->second.type);
}

void Session::set_option(const SetOptionStatement& set) {
  const bool on = set.value == "on";
  if (set.option == "transaction isolation level") {
    static const std::map<std::string, Isolation> levels = {
        {"read uncommitted", Isolation::kReadUncommitted},
        {"read committed", Isolation::kReadCommitted},
        {"repeatable read", Isolation::kRepeatableRead},
        {"serializable", Isolation::kSerializable},
        {"snapshot", Isolation::kSnapshot}};
    const auto found = levels.find(set.value);
    if (found == levels.end()) {
      throw syntax_error(set.value);
    }
    state_.isolation = found->second;
  } else if (set.option == "nocount") {
    state_.nocount = on;
  } else if (set.option == "xact_abort") {
    state_.xact_abort = on;
  } else if (set.option == "implicit_transactions") {
    state_.implicit_transactions = on;
  } else if (set.option == "lock_timeout") {
    const std::int64_t milliseconds = std::atoll(set.value.c_str());
    state_.lock_timeout_ms =
        milliseconds < 0 ? std::nullopt : std::optional<std::int64_t>(milliseconds);
  } else if (set.option == "identity_insert") {
    const TablePtr table = find_table(state_, set.table);
    if (!table) {
      throw invalid_object(set.table.back());
    }
    state_.identity_insert = on ? std::optional<int>(table->object_id) : std::nullopt;
  } else {
    // Options that change no answer of the double. Others are unknown, never ignored.
    static const std::set<std::string> known = {"textsize",
                                                "dateformat",
                                                "datefirst",
                                                "language",
                                                "arithabort",
                                                "ansi_nulls",
                                                "ansi_padding",
                                                "ansi_warnings",
                                                "ansi_null_dflt_on",
                                                "ansi_defaults",
                                                "quoted_identifier",
                                                "concat_null_yields_null",
                                                "cursor_close_on_commit",
                                                "numeric_roundabort",
                                                "deadlock_priority",
                                                "rowcount",
                                                "noexec",
                                                "statistics",
                                                "quoted_identifier ansi_nulls",
                                                "ansi_nulls quoted_identifier"};
    if (!known.contains(set.option)) {
      throw syntax_error("SET " + set.option);
    }
  }
  sink_->done(std::nullopt);
}

void Session::transaction_statement(const TransactionStatement& statement) {
  switch (statement.kind) {
    case TransactionStatement::Kind::kBegin:
      begin_transaction();
      break;
    case TransactionStatement::Kind::kCommit:
      commit_transaction();
      break;
    case TransactionStatement::Kind::kSave: {
      if (state_.transaction == nullptr) {
        throw SqlError(628, "Cannot issue SAVE TRANSACTION when there is no active transaction.");
      }
      std::lock_guard lock(state_.engine.mutex);
      Database& database = state_.current_database();
      state_.engine.logged(transaction(), database);
      // A log record of its own, which is what makes the snapshot protocol work.
      transaction().savepoint_lsn = database.log.next_record();
      database.log_end = std::max(database.log_end, transaction().savepoint_lsn);
      transaction().savepoints[lower(statement.name)] = state_.engine.mark(transaction());
      break;
    }
    case TransactionStatement::Kind::kRollback: {
      const bool known = state_.transaction != nullptr && !statement.name.empty() &&
                         transaction().savepoints.contains(lower(statement.name));
      if (known) {
        std::lock_guard lock(state_.engine.mutex);
        state_.engine.undo_to(transaction(), transaction().savepoints.at(lower(statement.name)));
      } else {
        rollback_transaction();
      }
      break;
    }
  }
  sink_->done(std::nullopt);
}

void Session::begin_transaction() {
  std::lock_guard lock(state_.engine.mutex);
  if (state_.tran_count++ == 0) {
    state_.transaction = &state_.engine.begin();
    began_at_ = state_.isolation;
    state_.doomed = false;
  }
}

void Session::commit_transaction() {
  if (state_.tran_count == 0) {
    throw SqlError(3902, "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.");
  }
  if (state_.doomed) {
    throw SqlError(
        3930,
        "The current transaction cannot be committed and cannot support operations that write "
        "to the log file. Roll back the transaction.");
  }
  std::lock_guard lock(state_.engine.mutex);
  if (--state_.tran_count == 0) {
    end_transaction(true);
  }
}

void Session::rollback_transaction() {
  if (state_.tran_count == 0) {
    throw SqlError(3903,
                   "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.");
  }
  std::lock_guard lock(state_.engine.mutex);
  end_transaction(false);
}

// REQUIRES: the mutex is held.
void Session::end_transaction(bool commit) {
  if (state_.transaction != nullptr) {
    commit ? state_.engine.commit(transaction()) : state_.engine.rollback(transaction());
  }
  state_.transaction = nullptr;
  state_.tran_count = 0;
  state_.doomed = false;
}

void Session::close() {
  std::lock_guard lock(state_.engine.mutex);
  end_transaction(false);
}

void Session::message_statement(const MessageStatement& message) {
  std::vector<TypedValue> args;
  for (const ExprPtr& arg : message.args) {
    args.push_back(evaluate(*arg));
  }
  const auto text = [&args](std::size_t at) { return display_text(args[at].value, args[at].type); };
  const auto number = [&args](std::size_t at) {
    return static_cast<int>(
        integer_of(convert(args[at].value, args[at].type, type_of(TypeKind::kInt))));
  };
  if (message.what == "print") {
    sink_->message(SqlError(0, text(0), 0));
    return;
  }
  if (message.what == "throw") {
    if (args.empty() && state_.caught.empty()) {
      throw SqlError(
          10704, "To rethrow an error, a THROW statement must be used inside a CATCH block.", 15);
    }
    const SqlError error =
        args.empty() ? state_.caught.back() : SqlError(number(0), text(1), 16, number(2));
    if (state_.tran_count > 0 && state_.xact_abort && try_depth_ == 0) {
      std::lock_guard lock(state_.engine.mutex);
      end_transaction(false);
    }
    if (try_depth_ > 0) {
      throw error;
    }
    state_.last_error = error.number();
    sink_->error(error);
    throw BatchEnded{};
  }
  const bool numbered = args[0].type.is_integer();
  const SqlError error(numbered ? number(0) : 50000, numbered ? "Error " + text(0) : text(0),
                       number(1), number(2));
  if (error.severity() <= 10) {
    sink_->message(error);
  } else {
    throw error;
  }
}

void Session::wait_statement(const WaitStatement& wait) {
  const TypedValue given = evaluate(*wait.delay);
  const auto delay = parse_moment(display_text(given.value, given.type));
  if (!delay) {
    throw SqlError(148, "Incorrect time syntax in time string used with WAITFOR.", 15);
  }
  std::unique_lock lock(state_.engine.mutex);
  const auto until = SteadyClock::now() + std::chrono::nanoseconds(delay->ticks * 100);
  while (SteadyClock::now() < until) {
    state_.engine.changed.wait_for(lock, kWaitSlice);
    if (state_.interrupted()) {
      throw Interrupted{};
    }
  }
  lock.unlock();
  sink_->done(std::nullopt);
}

ReadView Session::read_view(bool for_write) {
  Engine& engine = state_.engine;
  ReadView view;
  view.upto = engine.last_commit();
  view.own = state_.transaction == nullptr ? 0 : transaction().id;
  switch (state_.isolation) {
    case Isolation::kReadUncommitted:
      view.dirty = !for_write;
      break;
    case Isolation::kSnapshot:
      if (!state_.current_database().snapshot_isolation) {
        throw SqlError(3952, "Snapshot isolation transaction failed accessing database '" +
                                 state_.database +
                                 "' because snapshot isolation is not allowed in this database.");
      }
      if (state_.tran_count > 0) {
        if (began_at_ != Isolation::kSnapshot) {
          throw SqlError(3951,
                         "Transaction failed in database '" + state_.database +
                             "' because the statement was run under snapshot isolation but the "
                             "transaction did not start in snapshot isolation.");
        }
        transaction().snapshot = transaction().snapshot.value_or(view.upto);
        view.upto = *transaction().snapshot;
      }
      break;
    default:
      view.blocking = !for_write && !state_.current_database().read_committed_snapshot;
      break;
  }
  if (state_.read_only_intent) {
    view.blocking = false;
  }
  return view;
}

void Session::with_locks(bool writes, const std::function<void()>& work) {
  Engine& engine = state_.engine;
  std::unique_lock lock(engine.mutex);
  const bool own_transaction = writes && state_.transaction == nullptr;
  if (own_transaction) {
    state_.transaction = &engine.begin();
  }
  const auto finish = [&](bool commit) {
    if (own_transaction) {
      commit ? engine.commit(transaction()) : engine.rollback(transaction());
      state_.transaction = nullptr;
    }
  };
  try {
    while (true) {
      const StatementMark mark =
          state_.transaction == nullptr ? StatementMark() : engine.mark(transaction());
      try {
        work();
        finish(true);
        return;
      } catch (const LockedBy& locked) {
        if (state_.transaction != nullptr) {
          engine.undo_to(transaction(), mark);
        }
        wait_for(locked.transaction, lock);
      } catch (...) {
        if (state_.transaction != nullptr) {
          engine.undo_to(transaction(), mark);
        }
        throw;
      }
    }
  } catch (...) {
    finish(false);
    throw;
  }
}

void Session::wait_for(TransactionId other, std::unique_lock<std::mutex>& lock) {
  Engine& engine = state_.engine;
  Transaction* waiter = state_.transaction;
  if (waiter != nullptr) {
    engine.begin_wait(*waiter, other);
  }
  const auto begun = SteadyClock::now();
  const auto stop_waiting = [&engine, waiter] {
    if (waiter != nullptr) {
      engine.end_wait(*waiter);
    }
  };
  // Who stands behind somebody that waits for the table itself goes on when that one gives up.
  const bool behind_waiter = engine.is_waiting_for_table(other);
  while (engine.is_open(other) && (!behind_waiter || engine.is_waiting_for_table(other))) {
    const bool late =
        state_.lock_timeout_ms &&
        SteadyClock::now() - begun >= std::chrono::milliseconds(*state_.lock_timeout_ms);
    if (late) {
      stop_waiting();
      throw SqlError(1222, "Lock request time out period exceeded.", 16, 51);
    }
    engine.changed.wait_for(lock, kWaitSlice);
    if (state_.interrupted()) {
      stop_waiting();
      throw Interrupted{};
    }
  }
  stop_waiting();
}

}  // namespace headgate::test::sqlserver
