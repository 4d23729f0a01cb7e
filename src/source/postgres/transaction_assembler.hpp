// Puts pgoutput's messages together into transactions.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/clock.hpp"
#include "core/batch_context.hpp"
#include "core/position.hpp"
#include "core/transaction.hpp"
#include "source/postgres/pgoutput_decoder.hpp"

namespace headgate::source::postgres {

// Not thread-safe. Bytes from the server never trip a check: a message that does not fit is an
// Error{kOperator} that names it.
class TransactionAssembler {
 public:
  // Turns a Relation message into a schema; null when the table is not captured. Asked when the
  // first row of a new description comes, with the id of the transaction that the row is of.
  using SchemaLookup = std::function<TableSchemaPtr(const RelationMessage&, std::uint32_t xid)>;

  // `local_changes_only`: transactions with an origin count as empty.
  TransactionAssembler(SchemaLookup lookup, const Clock& clock, std::size_t portion_bytes,
                       bool local_changes_only = false)
      : lookup_(std::move(lookup)),
        clock_(clock),
        portion_bytes_(portion_bytes),
        local_changes_only_(local_changes_only) {}

  // Takes the next message. A transaction that is complete by it, or a portion that has grown
  // large, is appended to `out`.
  void add(const PgoutputMessage& message, std::vector<TransactionPtr>& out);

  // From here on the rows of a table that was described before have this description: the server
  // does not send a new one when only the schema's name has changed (15).
  void redescribe(const TableSchemaPtr& schema);

  // Between BEGIN and COMMIT.
  bool within_transaction() const { return current_ != nullptr; }

  // The end of the last COMMIT, also of a transaction with no change that is captured: those are
  // not handed over.
  std::uint64_t last_end_lsn() const { return last_end_lsn_; }

  // The connection is new: forgets what was half read and every relation, and from now on stamps
  // positions with `history`.
  void reset(History history);

 private:
  struct Relation {
    RelationMessage raw;  // its views point into raw_names
    std::string raw_names;
    bool looked_up = false;
    TableSchemaPtr schema;  // null: not captured
  };

  void add(const BeginMessage& begin);
  void add(const CommitMessage& commit, std::vector<TransactionPtr>& out);
  void add(const RelationMessage& relation);
  void add(const InsertMessage& insert);
  void add(const UpdateMessage& update);
  void add(const DeleteMessage& erase);
  void add(const TruncateMessage& truncate);

  Transaction& current();
  const TableSchemaPtr& schema_of(std::uint32_t relation);
  Row keep(const TableSchema& schema, Row row);
  Row fill_from_old(const TableSchema& schema, char old_kind, Row data, Row before);
  void hand_over(Portion portion, std::vector<TransactionPtr>& out);

  SchemaLookup lookup_;
  const Clock& clock_;
  std::size_t portion_bytes_;
  bool local_changes_only_;
  History history_;
  std::unordered_map<std::uint32_t, Relation> relations_;
  std::unique_ptr<Transaction> current_;
  std::uint32_t xid_ = 0;     // of current_
  bool foreign_ = false;      // current_ has an origin, and such are left out
  bool handed_over_ = false;  // an earlier portion of current_ is with the caller already
  std::uint64_t last_end_lsn_ = 0;
};

}  // namespace headgate::source::postgres
