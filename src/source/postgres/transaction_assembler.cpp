#include "source/postgres/transaction_assembler.hpp"

#include <algorithm>
#include <type_traits>
#include <utility>

#include <fmt/format.h>

#include "base/error.hpp"

namespace headgate::source::postgres {
namespace {

Error unexpected(const std::string& what) {
  return Error{ErrorKind::kOperator, "source: the replication stream holds " + what,
               "please report it, with the server's version"};
}

bool same(const RelationMessage& a, const RelationMessage& b) {
  return a.schema == b.schema && a.table == b.table && a.identity == b.identity &&
         std::equal(a.columns.begin(), a.columns.end(), b.columns.begin(), b.columns.end(),
                    [](const RelationColumn& x, const RelationColumn& y) {
                      return x.name == y.name && x.type_oid == y.type_oid &&
                             x.type_modifier == y.type_modifier && x.identity == y.identity;
                    });
}

// A copy whose names live in `names`.
RelationMessage own_names(const RelationMessage& message, std::string& names) {
  std::size_t size = message.schema.size() + message.table.size();
  for (const RelationColumn& column : message.columns) {
    size += column.name.size();
  }
  names.clear();
  names.reserve(size);  // so that appending moves nothing that a view points at
  const auto own = [&](std::string_view text) {
    const std::size_t at = names.size();
    names.append(text);
    return std::string_view{names}.substr(at, text.size());
  };
  RelationMessage copy = message;
  copy.schema = own(message.schema);
  copy.table = own(message.table);
  for (RelationColumn& column : copy.columns) {
    column.name = own(column.name);
  }
  return copy;
}

}  // namespace

void TransactionAssembler::reset(History history) {
  history_ = std::move(history);
  relations_.clear();
  current_.reset();
  foreign_ = false;
  handed_over_ = false;
  last_end_lsn_ = 0;
}

void TransactionAssembler::add(const PgoutputMessage& message, std::vector<TransactionPtr>& out) {
  std::visit(
      [&](const auto& event) {
        using Event = std::decay_t<decltype(event)>;
        if constexpr (std::is_same_v<Event, CommitMessage>) {
          add(event, out);
        } else if constexpr (std::is_same_v<Event, TypeMessage> ||
                             std::is_same_v<Event, LogicalMessage>) {
          // Types are looked up in the catalog, which knows more than the message says.
        } else if constexpr (std::is_same_v<Event, OriginMessage>) {
          foreign_ = local_changes_only_;
        } else if constexpr (std::is_same_v<Event, StreamStartMessage> ||
                             std::is_same_v<Event, StreamStopMessage> ||
                             std::is_same_v<Event, StreamCommitMessage> ||
                             std::is_same_v<Event, StreamAbortMessage>) {
          throw unexpected("a segment of a streamed transaction where none may stand");
        } else {
          add(event);
        }
      },
      message);
  if (current_ != nullptr && current_->memory_bytes() >= portion_bytes_) {
    hand_over(handed_over_ ? Portion::kMiddle : Portion::kFirst, out);
  }
}

void TransactionAssembler::add(const BeginMessage& begin) {
  if (current_ != nullptr) {
    throw unexpected("a BEGIN within a transaction");
  }
  current_ = std::make_unique<Transaction>(std::to_string(begin.xid),
                                           LSN::from_postgres(begin.commit_lsn), clock_.wall_now());
  current_->set_commit_time(begin.commit_time);
  xid_ = begin.xid;
  handed_over_ = false;
  foreign_ = false;
}

void TransactionAssembler::add(const CommitMessage& commit, std::vector<TransactionPtr>& out) {
  Transaction& transaction = current();
  if (transaction.commit_lsn() != LSN::from_postgres(commit.commit_lsn) ||
      commit.end_lsn <= commit.commit_lsn) {
    throw unexpected("a COMMIT that does not fit its BEGIN");
  }
  last_end_lsn_ = commit.end_lsn;
  transaction.end_position = {LSN::from_postgres(commit.end_lsn), history_};
  if (!handed_over_ && transaction.changes().empty()) {
    current_.reset();
    return;
  }
  hand_over(handed_over_ ? Portion::kLast : Portion::kWhole, out);
}

// Gives the current object away; after anything but the last portion, a new one goes on.
void TransactionAssembler::hand_over(Portion portion, std::vector<TransactionPtr>& out) {
  std::unique_ptr<Transaction> done = std::move(current_);
  done->portion = portion;
  if (!ends(portion)) {
    current_ = std::make_unique<Transaction>(done->id(), done->commit_lsn(), done->created_at());
    current_->set_commit_time(done->commit_time());
    current_->set_first_ordinal(done->next_ordinal());
    current_->expect_changes(done->changes().size());
    handed_over_ = true;
  }
  out.push_back(std::move(done));
}

void TransactionAssembler::add(const RelationMessage& message) {
  const auto known = relations_.find(message.relation);
  if (known != relations_.end() && same(known->second.raw, message)) {
    // Repeated after something touched the table. That may be nothing to us; or a column was
    // dropped and another of the same name and type added, which only the catalog tells apart.
    known->second.looked_up = false;
    return;
  }
  Relation& relation = relations_[message.relation];
  relation.raw = own_names(message, relation.raw_names);
  relation.looked_up = false;
}

void TransactionAssembler::redescribe(const TableSchemaPtr& schema) {
  const auto known = relations_.find(schema->source_id);
  if (known != relations_.end() && known->second.schema &&
      known->second.raw.columns.size() == schema->columns.size()) {
    known->second.schema = schema;
    known->second.looked_up = true;
  }
}

void TransactionAssembler::add(const InsertMessage& insert) {
  Transaction& transaction = current();
  if (const TableSchemaPtr& schema = schema_of(insert.relation)) {
    transaction.add_change(schema, Operation::kInsert, keep(*schema, insert.row));
  }
}

void TransactionAssembler::add(const UpdateMessage& update) {
  Transaction& transaction = current();
  const TableSchemaPtr& schema = schema_of(update.relation);
  if (!schema) {
    return;
  }
  const Row before = update.old_kind == 0 ? Row{} : keep(*schema, update.old_row);
  const Row data = fill_from_old(*schema, update.old_kind, keep(*schema, update.row), before);
  Change& change = transaction.add_change(schema, Operation::kUpdateAfter, data, before);
  change.key_only = update.old_kind == 'K';
}

void TransactionAssembler::add(const DeleteMessage& erase) {
  Transaction& transaction = current();
  if (const TableSchemaPtr& schema = schema_of(erase.relation)) {
    Change& change =
        transaction.add_change(schema, Operation::kDelete, keep(*schema, erase.old_row));
    change.key_only = erase.old_kind == 'K';
  }
}

void TransactionAssembler::add(const TruncateMessage& truncate) {
  Transaction& transaction = current();
  for (const std::uint32_t relation : truncate.relations) {
    if (const TableSchemaPtr& schema = schema_of(relation)) {
      transaction.add_change(schema, Operation::kTruncate, {});
    }
  }
}

Transaction& TransactionAssembler::current() {
  if (current_ == nullptr) {
    throw unexpected("a change or COMMIT outside a transaction");
  }
  return *current_;
}

const TableSchemaPtr& TransactionAssembler::schema_of(std::uint32_t oid) {
  static const TableSchemaPtr kNone;
  if (foreign_) {
    return kNone;
  }
  const auto found = relations_.find(oid);
  if (found == relations_.end()) {
    throw unexpected(fmt::format("a change of relation {}, which was never described", oid));
  }
  Relation& relation = found->second;
  if (!relation.looked_up) {
    TableSchemaPtr schema = lookup_(relation.raw, xid_);  // may throw: then it is asked again
    const bool unchanged = relation.schema && schema && *relation.schema == *schema;
    if (!unchanged) {
      relation.schema = std::move(schema);
    }
    relation.looked_up = true;
  }
  return relation.schema;
}

// The new row with what the old one tells of columns that were not sent: of all columns when it is
// whole ('O'), of the identity's when it is the key ('K').
Row TransactionAssembler::fill_from_old(const TableSchema& schema, char old_kind, Row data,
                                        Row before) {
  const bool needed = std::any_of(data.begin(), data.end(),
                                  [](const Value& value) { return value.is_unchanged(); });
  if (!needed) {
    return data;
  }
  const auto filled = current_->arena().array<Value>(data.size());
  for (std::size_t i = 0; i < data.size(); ++i) {
    // A NULL in a key is padding: a partition may identify its rows otherwise than its root.
    const bool told =
        old_kind == 'O' || (old_kind == 'K' && schema.columns[i].identity && !before[i].is_null());
    filled[i] = data[i].is_unchanged() && told ? before[i] : data[i];
  }
  for (const std::size_t column : schema.key) {
    if (filled[column].is_unchanged()) {
      // Servers before the minor releases of February 2022 leave out a large key that did not
      // change.
      throw Error{ErrorKind::kOperator,
                  fmt::format("source: an update of table {} does not say which row it changed",
                              schema.name.to_string()),
                  "update the source server to a current minor release"};
    }
  }
  return filled;
}

// The row, copied into the current transaction.
Row TransactionAssembler::keep(const TableSchema& schema, Row row) {
  if (row.size() != schema.columns.size()) {
    throw unexpected(fmt::format("a row of {} columns for table {} with {}", row.size(),
                                 schema.name.to_string(), schema.columns.size()));
  }
  return current_->copy_row(row);
}

}  // namespace headgate::source::postgres
