#include "support/sqlserver_double/connection.hpp"

#include <chrono>
#include <thread>

#include "support/sqlserver_double/convert.hpp"
#include "support/sqlserver_double/parser.hpp"
#include "support/sqlserver_double/tds_requests.hpp"

namespace headgate::test::sqlserver {

namespace {

using SteadyClock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kWaitSlice{5};
// A reply is handed to the socket in pieces of about this size.
constexpr std::size_t kPiece = 64 * 1024;

// The script ends the connection: with a reset, or in good order so that what was sent arrives.
struct Dropped {
  bool reset = true;
};

}  // namespace

// Turns what a session answers into tokens, and does to them what a fault says.
class Connection::Sink : public ResultSink {
 public:
  Sink(Connection& connection, DoneToken token, const Fault* fault)
      : connection_(connection),
        token_(token),
        fault_(fault),
        chunks_(connection.parts_.chunks()) {}

  void rows(std::vector<RowsetColumn> columns, std::vector<RowPtr> all, bool counted) override {
    Rowset rowset{std::move(columns), std::move(all)};
    if (fault_ != nullptr && fault_->rewrite) {
      fault_->rewrite(rowset);
    }
    write_pending(true);
    put_metadata(bytes_, rowset.columns);
    std::size_t sent = 0;
    for (const RowPtr& row : rowset.rows) {
      strike_before_row(sent);
      put_row(bytes_, rowset.columns, *row, chunks_);
      strike_inside_row(sent++);
      if (bytes_.size() > kPiece) {
        flush();
      }
    }
    strike_before_row(sent);
    Done done;
    done.token = token_;
    done.is_select = true;
    if (counted) {
      done.count = static_cast<std::int64_t>(rowset.rows.size());
    }
    pending_ = done;
  }

  void done(std::optional<std::int64_t> count) override {
    write_pending(true);
    Done end;
    end.token = token_;
    end.count = count;
    pending_ = end;
  }

  void error(const SqlError& error) override {
    write_pending(true);
    put_message(bytes_, error, connection_.parts_.engine.server_name, true);
    Done done;
    done.token = token_;
    done.error = true;
    pending_ = done;
    failed_ = true;
  }

  void message(const SqlError& message) override {
    write_pending(true);
    put_message(bytes_, message, connection_.parts_.engine.server_name, false);
  }

  void database_changed(const std::string& from, const std::string& to) override {
    write_pending(true);
    put_environment(bytes_, 1, to, from);
    put_message(bytes_, SqlError(5701, "Changed database context to '" + to + "'.", 0, 2),
                connection_.parts_.engine.server_name, false);
  }

  // The end of the reply; with what an RPC adds.
  void finish(const std::function<void(std::string&)>& tail) {
    if (token_ == DoneToken::kDone) {
      if (!pending_) {
        pending_ = Done();
      }
      write_pending(false);
    } else {
      write_pending(true);
      tail(bytes_);
      Done done;
      done.token = DoneToken::kProcedure;
      done.error = failed_;
      put_done(bytes_, done);
    }
    connection_.socket_.send(bytes_, true);
  }

  void finish_interrupted() {
    pending_.reset();
    Done done;
    done.attention = true;
    put_done(bytes_, done);
    connection_.socket_.send(bytes_, true);
  }

 private:
  void write_pending(bool more) {
    if (pending_) {
      pending_->more = more;
      put_done(bytes_, *pending_);
      pending_.reset();
    }
  }

  void flush() {
    if (connection_.interrupted()) {
      throw Interrupted{};
    }
    connection_.socket_.send(bytes_, false);
  }

  void strike_before_row(std::size_t sent) {
    if (fault_ == nullptr || struck_ || sent != fault_->rows) {
      return;
    }
    if (fault_->error && fault_->error_place == ErrorPlace::kAfterRows) {
      struck_ = true;
      throw *fault_->error;
    }
    if (fault_->drop == Drop::kInRows) {
      connection_.socket_.send_torn(bytes_);
      throw Dropped{false};
    }
    row_begin_ = bytes_.size();
  }

  void strike_inside_row(std::size_t sent) {
    if (fault_ != nullptr && fault_->drop == Drop::kInsideRow && sent == fault_->rows) {
      connection_.socket_.send_torn(
          std::string_view(bytes_).substr(0, (row_begin_ + bytes_.size()) / 2));
      throw Dropped{false};
    }
  }

  Connection& connection_;
  DoneToken token_;
  const Fault* fault_;
  ChunkRules chunks_;
  std::string bytes_;
  std::optional<Done> pending_;
  std::size_t row_begin_ = 0;
  bool failed_ = false;
  bool struck_ = false;
};

Connection::Connection(ServerParts& parts, int descriptor, int number)
    : parts_(parts), socket_(descriptor, 50 + number), number_(number), session_(parts.engine) {
  session_.state().spid = 50 + number;
  session_.state().interrupted = [this] { return interrupted(); };
}

bool Connection::interrupted() {
  return parts_.stopping || (deaf_ ? socket_.client_gone() : socket_.client_spoke());
}

void Connection::run() {
  try {
    if (!log_in()) {
      return;
    }
    while (!parts_.stopping) {
      handle(socket_.receive());
    }
  } catch (const ConnectionGone&) {
  } catch (const Dropped& dropped) {
    if (dropped.reset) {
      socket_.reset();
    }
  } catch (const MalformedRequest& error) {
    parts_.received({number_, session_.state().application, "malformed", error.what()});
    socket_.reset();
  }
}

void Connection::refuse(const std::vector<SqlError>& errors) {
  std::string reply;
  for (const SqlError& error : errors) {
    put_message(reply, error, parts_.engine.server_name, true);
  }
  Done done;
  done.error = true;
  put_done(reply, done);
  socket_.send(reply, true);
}

int Connection::major_version() const {
  std::lock_guard lock(parts_.engine.mutex);
  return parts_.engine.traits.major_version;
}

bool Connection::log_in() {
  Message message = socket_.receive();
  if (message.type == MessageType::kPrelogin) {
    std::string reply = prelogin_reply(EncryptionAnswer::kNotSupported, major_version());
    socket_.send(reply, true);
    message = socket_.receive();
  }
  if (message.type != MessageType::kLogin) {
    throw MalformedRequest("a first message that is no login");
  }
  const LoginRequest login = parse_login(message.body);
  if (const auto fault = parts_.faults.match_login()) {
    if (fault->errors.empty()) {
      throw Dropped{};
    }
    refuse(fault->errors);
    return false;
  }
  SessionState& state = session_.state();
  {
    std::unique_lock lock(parts_.engine.mutex);
    const auto known = parts_.engine.logins.find(lower(login.user));
    if (known == parts_.engine.logins.end() || known->second.password != login.password) {
      lock.unlock();
      refuse({SqlError(18456, "Login failed for user '" + login.user + "'.", 14)});
      return false;
    }
    const Database* database =
        parts_.engine.database(login.database.empty() ? "master" : login.database);
    if (database == nullptr) {
      lock.unlock();
      refuse({SqlError(4060,
                       "Cannot open database \"" + login.database +
                           "\" requested by the login. The login failed.",
                       11),
              SqlError(18456, "Login failed for user '" + login.user + "'.", 14)});
      return false;
    }
    state.database = database->name;
  }
  state.login = login.user;
  state.application = login.application;
  state.host = login.host;
  state.read_only_intent = login.read_only_intent;
  const std::size_t packet_size =
      std::min<std::size_t>(std::max<std::size_t>(login.packet_size, 512), 32767);

  std::string reply;
  const std::string& server = parts_.engine.server_name;
  put_environment(reply, 1, state.database, "master");
  put_message(reply, SqlError(5701, "Changed database context to '" + state.database + "'.", 0, 2),
              server, false);
  put_binary_environment(reply, 7, std::string("\x09\x04\xD0\x00\x34", 5), "");
  put_environment(reply, 2, "us_english", "");
  put_message(reply, SqlError(5703, "Changed language setting to us_english.", 0), server, false);
  put_login_acknowledgement(reply, major_version());
  put_environment(reply, 4, std::to_string(packet_size), "4096");
  put_done(reply, Done());
  socket_.send(reply, true);
  socket_.set_packet_size(packet_size);
  return true;
}

void Connection::acknowledge_attention() {
  std::string reply;
  Done done;
  done.attention = true;
  put_done(reply, done);
  socket_.send(reply, true);
}

void Connection::handle(const Message& message) {
  switch (message.type) {
    case MessageType::kBatch:
      run_batch(utf8_of_utf16(utf16_of_bytes(without_headers(message.body))));
      break;
    case MessageType::kRpc:
      run_rpc(message.body);
      break;
    case MessageType::kTransactionManager:
      run_transaction_request(message.body);
      break;
    case MessageType::kAttention:
      // The statement it was for has ended already.
      parts_.received({number_, session_.state().application, "attention", ""});
      acknowledge_attention();
      break;
    default:
      throw MalformedRequest("a message of type " + std::to_string(static_cast<int>(message.type)));
  }
}

void Connection::wait_as_told(const FaultScript::Strike& strike) {
  deaf_ = strike.fault.ignores_attention;
  const auto until =
      SteadyClock::now() + (strike.fault.delays ? strike.fault.delays() : strike.fault.delay);
  while (parts_.faults.is_held(strike.id) || SteadyClock::now() < until) {
    if (interrupted()) {
      throw Interrupted{};
    }
    std::this_thread::sleep_for(kWaitSlice);
  }
}

void Connection::run_statement(const std::string& kind, const std::string& statement,
                               DoneToken token, const std::function<void(Sink&)>& work,
                               const std::function<void(std::string&)>& finish) {
  parts_.received({number_, session_.state().application, kind, statement});
  const auto strike = parts_.faults.match(statement, number_, session_.state().application);
  const Fault* fault = strike ? &strike->fault : nullptr;
  Sink sink(*this, token, fault);
  try {
    if (fault != nullptr) {
      if (fault->before) {
        fault->before();
      }
      if (fault->drop == Drop::kBeforeRunning) {
        throw Dropped{};
      }
      wait_as_told(*strike);
      socket_.set_packet_delay(fault->packet_delay);
    }
    if (fault != nullptr && fault->error && fault->error_place == ErrorPlace::kInstead) {
      if (fault->error->ends_transaction()) {
        session_.close();
      }
      sink.error(*fault->error);
    } else {
      try {
        work(sink);
      } catch (const SqlError& error) {
        sink.error(error);  // a fault's error behind some rows
      }
      if (fault != nullptr && fault->error && fault->error_place == ErrorPlace::kAfterResult) {
        sink.error(*fault->error);
      }
    }
    if (fault != nullptr && fault->after) {
      fault->after();
    }
    if (fault != nullptr && fault->drop == Drop::kBeforeReply) {
      throw Dropped{};
    }
    sink.finish(finish);
    if (fault != nullptr && fault->drop == Drop::kAfterReply) {
      throw Dropped{false};
    }
  } catch (const Interrupted&) {
    deaf_ = false;
    if (parts_.stopping || socket_.client_gone()) {
      throw ConnectionGone{};
    }
    socket_.receive();  // the attention
    parts_.received({number_, session_.state().application, "attention", statement});
    sink.finish_interrupted();
  }
  deaf_ = false;
  socket_.set_packet_delay(std::chrono::milliseconds(0));
}

void Connection::run_batch(const std::string& sql) {
  run_statement("batch", sql, DoneToken::kDone, [&](Sink& sink) { session_.run_batch(sql, sink); },
                {});
}

std::vector<NamedValue> Connection::bound_parameters(const std::string& definitions,
                                                     const std::vector<NamedValue>& arguments,
                                                     std::size_t first) {
  std::vector<NamedValue> parameters;
  const auto defined = parse_parameters(definitions);
  for (std::size_t at = 0; at < defined.size(); ++at) {
    TypedValue value{defined[at].type, Null{}};
    if (first + at < arguments.size()) {
      const TypedValue& given = arguments[first + at].value;
      value.value = convert(given.value, given.type, value.type);
    }
    parameters.push_back({defined[at].name, std::move(value)});
  }
  return parameters;
}

void Connection::run_rpc(const std::string& body) {
  const RpcRequest request = parse_rpc(body);
  const auto& arguments = request.arguments;
  const auto text = [&arguments](std::size_t at) {
    return at < arguments.size() ? display_text(arguments[at].value.value, arguments[at].value.type)
                                 : std::string();
  };
  const auto handle = [&arguments]() {
    return arguments.empty() || is_null(arguments[0].value.value)
               ? std::int32_t{0}
               : static_cast<std::int32_t>(integer_of(arguments[0].value.value));
  };
  const auto status_only = [](std::string& bytes) { put_return_status(bytes, 0); };
  std::string name = lower(request.procedure);
  const auto in_procedure = DoneToken::kInProcedure;

  if (name == "sp_executesql") {
    run_statement(
        name, text(0), in_procedure,
        [&](Sink& sink) {
          session_.run_parametrised(text(0), bound_parameters(text(1), arguments, 2), sink);
        },
        status_only);
  } else if (name == "sp_prepexec" || name == "sp_prepare") {
    const Prepared prepared{text(2), text(1)};
    const std::int32_t new_handle = ++last_handle_;
    prepared_[new_handle] = prepared;
    const auto with_handle = [new_handle](std::string& bytes) {
      put_return_status(bytes, 0);
      put_return_value(bytes, "", new_handle);
    };
    run_statement(
        name, prepared.sql, in_procedure,
        [&](Sink& sink) {
          if (name == "sp_prepexec") {
            session_.run_parametrised(prepared.sql,
                                      bound_parameters(prepared.definitions, arguments, 3), sink);
          } else if (auto columns = session_.describe(
                         prepared.sql, bound_parameters(prepared.definitions, {}, 0))) {
            sink.rows(std::move(*columns), {}, false);
          }
        },
        with_handle);
  } else if (name == "sp_execute") {
    const auto found = prepared_.find(handle());
    run_statement(
        name, found == prepared_.end() ? "" : found->second.sql, in_procedure,
        [&](Sink& sink) {
          if (found == prepared_.end()) {
            throw SqlError(8179, "Could not find prepared statement with handle " +
                                     std::to_string(handle()) + ".");
          }
          session_.run_parametrised(
              found->second.sql, bound_parameters(found->second.definitions, arguments, 1), sink);
        },
        status_only);
  } else if (name == "sp_unprepare") {
    prepared_.erase(handle());
    run_statement(
        name, "", in_procedure, [](Sink&) {}, status_only);
  } else {
    run_statement(
        name, request.procedure, in_procedure,
        [&](Sink& sink) { session_.run_procedure(request.procedure, arguments, sink); },
        status_only);
  }
}

void Connection::run_transaction_request(const std::string& body) {
  ByteReader reader(without_headers(body));
  const std::uint16_t request = reader.u16();
  std::string reply;
  const auto descriptor = [this] {
    std::string bytes;
    put_u64(bytes, last_transaction_);
    return bytes;
  };
  const auto begin = [&] {
    session_.begin_transaction();
    ++last_transaction_;
    put_binary_environment(reply, 8, descriptor(), "");
  };
  const bool commit = request == 7;
  const std::string kind = request == 5 ? "begin" : commit ? "commit" : "rollback";
  parts_.received({number_, session_.state().application, kind, ""});
  const auto strike = parts_.faults.match(kind, number_, session_.state().application);
  if (strike && strike->fault.drop == Drop::kBeforeRunning) {
    throw Dropped{};
  }
  Done done;
  try {
    if (strike && strike->fault.error) {
      throw *strike->fault.error;
    }
    if (request == 5) {
      begin();
    } else if (request == 7 || request == 8) {
      reader.take(reader.u8());
      const bool begin_again = !reader.at_end() && (reader.u8() & 1) != 0;
      // Drivers send these also when an error has ended the transaction already.
      if (session_.state().tran_count > 0) {
        commit ? session_.commit_transaction() : session_.rollback_transaction();
      }
      put_binary_environment(reply, commit ? 9 : 10, "", descriptor());
      if (begin_again) {
        begin();
      }
    } else {
      throw SqlError(
          102,
          "A transaction manager request that the double does not know: " + std::to_string(request),
          15);
    }
  } catch (const SqlError& error) {
    put_message(reply, error, parts_.engine.server_name, true);
    done.error = true;
  }
  if (strike && strike->fault.drop != Drop::kNever) {
    throw Dropped{};
  }
  put_done(reply, done);
  socket_.send(reply, true);
}

}  // namespace headgate::test::sqlserver
