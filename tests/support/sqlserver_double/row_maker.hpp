// Completes the rows that INSERT and UPDATE give: defaults, identity, rowversion, computed columns;
// and checks what the table demands of them.

#pragma once

#include <string>
#include <vector>

#include "support/sqlserver_double/binder.hpp"
#include "support/sqlserver_double/query.hpp"

namespace headgate::test::sqlserver {

class RowMaker {
 public:
  // All must outlive it.
  RowMaker(Context& context, Database& database, TablePtr table);

  // A row to insert from the values of some columns; `places[i]` is the column of `values[i]`, and
  // a value of type-less nullopt is DEFAULT. Throws SqlError 515, 544, 547, 2628 and the like.
  RowPtr inserted(const std::vector<std::size_t>& places,
                  const std::vector<std::optional<TypedValue>>& values);
  // `old` with other values.
  RowPtr updated(const Row& old, const std::vector<std::size_t>& places,
                 const std::vector<std::optional<TypedValue>>& values);

  // Foreign keys of a row that is written, and of one that is removed: children of a cascading key
  // are removed with it.
  void check_parents(const Row& row, TransactionId own) const;
  void check_children(const Row& row, Transaction& transaction, std::uint64_t statement);

  // The place of a column that may be assigned to. Throws SqlError 207, 271.
  std::size_t writable_place(const std::string& column) const;

 private:
  void store(Row& row, std::size_t place, const std::optional<TypedValue>& value);
  void give_identity(Row& row, std::size_t place, bool given);
  RowPtr finished(Row row);

  Context& context_;
  Database& database_;
  TablePtr table_;
  Scope scope_;
  std::vector<std::optional<Bound>> defaults_;
  std::vector<std::optional<Bound>> computed_;
  std::vector<Bound> checks_;
};

}  // namespace headgate::test::sqlserver
