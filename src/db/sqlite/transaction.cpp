#include "db/sqlite/transaction.hpp"

#include <sqlite3.h>

namespace headgate::db::sqlite {

Transaction::Transaction(Connection& connection) : connection_(connection) {
  const int code = sqlite3_exec(connection.handle(), "BEGIN IMMEDIATE", nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) {
    connection.fail(code, "begin a transaction");
  }
}

Transaction::~Transaction() {
  if (connection_.in_transaction()) {
    sqlite3_exec(connection_.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
  }
}

void Transaction::commit() {
  const int code = sqlite3_exec(connection_.handle(), "COMMIT", nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) {
    connection_.fail(code, "commit");
  }
}

}  // namespace headgate::db::sqlite
