// headgate_tables in a SQLite sink: what it remembers of the tables that it mirrors.

#pragma once

#include <string>

#include "db/sqlite/connection.hpp"
#include "db/sqlite/statement.hpp"
#include "pipeline/table_record.hpp"

namespace headgate::sink::sqlite {

// The rows of (pipeline, sink). Belongs to one connection, which must outlive it.
class TableRegistry {
 public:
  // Creates the table where it is missing. Within a transaction.
  static void create(db::sqlite::Connection& connection);

  // REQUIRES: create() was called.
  TableRegistry(db::sqlite::Connection& connection, std::string pipeline, std::string sink);

  TableRecords read();

  // Within a transaction.
  void write(const TableRecord& record);
  void remove(const TableRecord& record);
  // Within a transaction: removes all of them.
  void clear();

 private:
  std::string pipeline_;
  std::string sink_;
  db::sqlite::Statement read_;
  db::sqlite::Statement write_;
  db::sqlite::Statement remove_;
  db::sqlite::Statement clear_;
};

// The statement that removes the record, for a person.
std::string forget_statement(const std::string& pipeline, const std::string& sink,
                             const TableRecord& record);

}  // namespace headgate::sink::sqlite
