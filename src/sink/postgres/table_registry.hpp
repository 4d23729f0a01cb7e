// headgate_tables in a PostgreSQL sink: what it remembers of the tables that it mirrors.

#pragma once

#include <string>

#include "db/pq/connection.hpp"
#include "pipeline/table_record.hpp"
#include "sink/postgres/options.hpp"

namespace headgate::sink::postgres {

// The rows of (pipeline, sink). Not thread-safe.
class TableRegistry {
 public:
  // `options` must outlive it.
  explicit TableRegistry(const Options& options);

  // Creates the table where it is missing.
  void create(pq::Connection& connection) const;

  TableRecords read(pq::Connection& connection) const;

  // Within a transaction.
  void write(pq::Connection& connection, const TableRecord& record) const;

  void remove(pq::Connection& connection, const TableRecord& record) const;

  // Within a transaction: removes all of them.
  void clear(pq::Connection& connection) const;

  // The statement that removes the record, for a person.
  std::string forget_statement(const TableRecord& record) const;

 private:
  const Options& options_;
  std::string table_;  // quoted, with schema
};

}  // namespace headgate::sink::postgres
