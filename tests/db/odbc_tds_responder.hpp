// A server that says what the test tells it to, byte by byte, in TDS 7.4 and in clear text.
//
// It knows no SQL: for what a SQL Server would answer there is tests/support/sqlserver_double. This
// is for what no well-behaved server does: results that break off, errors behind rows, attentions
// that nobody answers.

#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace headgate::test::tds {

struct Request {
  enum class Kind { kBatch, kCall, kBegin, kCommit, kRollback, kAttention };
  struct Parameter {
    std::string type;   // in hex, with its length or precision
    std::string value;  // its bytes; UTF-8 where it is the text of a statement
    bool null = false;
  };

  Kind kind = Kind::kBatch;
  std::string procedure;  // of a call
  std::string sql;        // of a batch, and of calls that bring or have prepared one
  std::string declared;   // of a call: "@P1 NVARCHAR(4000)"
  std::vector<Parameter> parameters;
};

struct Login {
  std::string host, user, password, application, server, database;
  std::uint32_t tds_version = 0;
  bool read_only = false;
};

// What follows a request.
struct Reply {
  enum class After {
    kEnd,              // the message ends; the next request is awaited
    kClose,            // it does not: the connection is closed
    kAwaitAttention,   // it does not: an attention ends it
    kIgnoreAttention,  // nothing more ever comes
  };
  std::string tokens;
  After after = After::kEnd;
};

// One thread for each connection calls the handlers, one at a time. Every call may come from any
// thread.
class Responder {
 public:
  using Handler = std::function<Reply(const Request&)>;
  using LoginHandler = std::function<Reply(const Login&)>;

  // `handler` answers statements and calls; transaction requests are answered by themselves unless
  // it returns tokens for them, attentions always are.
  explicit Responder(Handler handler, LoginHandler login = {});
  ~Responder();

  int port() const;
  // All requests so far, of all connections.
  std::vector<Request> requests() const;
  std::vector<Login> logins() const;

 private:
  class Core;
  std::unique_ptr<Core> core_;
};

// The tokens that let somebody in.
std::string welcome();

}  // namespace headgate::test::tds
