// A write transaction that is rolled back unless it was committed.

#pragma once

#include "db/sqlite/connection.hpp"

namespace headgate::db::sqlite {

class Transaction {
 public:
  // BEGIN IMMEDIATE: the only writer from here on, so no statement in it can fail for a lock.
  // Throws SqliteError (transient) when another writer stays longer than the busy time-out.
  explicit Transaction(Connection& connection);

  // Rolls back what was not committed. SQLite may have done so itself (disk full): that is fine.
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  // Throws SqliteError; the transaction is then still open or already rolled back.
  void commit();

 private:
  Connection& connection_;
};

}  // namespace headgate::db::sqlite
