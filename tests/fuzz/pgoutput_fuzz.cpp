// Any sequence of messages that a server could send: through the decoder, the transaction
// assembler, the mirror and the net effect.
//
// The input is messages one after the other, each behind its length in two big-endian bytes.

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/error.hpp"
#include "fuzz_target.hpp"
#include "pgoutput_encoder.hpp"
#include "pipeline/net_effect.hpp"
#include "sink/sqlite/position_table.hpp"
#include "source/postgres/transaction_assembler.hpp"
#include "transform/mirror.hpp"

namespace headgate::fuzz {
namespace {

using source::postgres::PgoutputDecoder;
using source::postgres::PgoutputMessage;
using source::postgres::RelationMessage;
using source::postgres::TransactionAssembler;

class FixedClock final : public Clock {
 public:
  TimePoint now() const override { return TimePoint{}; }
  WallTime wall_now() const override { return WallTime{}; }
};

// Every eighth relation is not captured, and every other seventh cannot be looked up.
TableSchemaPtr look_up(const RelationMessage& relation, std::uint32_t) {
  if (relation.relation % 8 == 7) {
    return nullptr;
  }
  if (relation.relation % 7 == 6) {
    throw Error{ErrorKind::kTransient, "the catalog cannot be asked"};
  }
  auto schema = std::make_shared<TableSchema>();
  schema->name = {std::string(relation.schema), std::string(relation.table)};
  for (const auto& described : relation.columns) {
    Column column;
    column.name = described.name;
    column.type_oid = described.type_oid;
    column.family = described.type_oid == 17 ? TypeFamily::kBytes : TypeFamily::kOther;
    column.identity = described.identity;
    if (column.identity) {
      schema->key.push_back(schema->columns.size());
    }
    schema->columns.push_back(std::move(column));
  }
  return schema;
}

std::string described(Row row) {
  std::string text;
  for (const Value& value : row) {
    text += fmt::format("{}:{}:{};", static_cast<int>(value.kind), value.size, value.bytes());
  }
  return text;
}

// Assembles, and keeps what came out whole.
class Assembly {
 public:
  explicit Assembly(std::size_t portion_bytes) : assembler_(look_up, clock_, portion_bytes) {
    reset();
  }

  // False when the assembler refuses the message; it is then as after a new connection.
  bool add(const PgoutputMessage& message) {
    try {
      assembler_.add(message, out_);
      collect();
      return true;
    } catch (const Error& error) {
      require(error.kind() == ErrorKind::kOperator || error.kind() == ErrorKind::kTransient,
              "a message that does not fit is the server's fault");
      collect();
      reset();
      return false;
    }
  }

  // All changes of all transactions that ended, as text.
  const std::string& story() const { return story_; }

 private:
  void reset() {
    assembler_.reset(History{"postgres:1:1:1"});
    parts_.clear();
  }

  void collect() {
    for (TransactionPtr& portion : out_) {
      require(begins(portion->portion) == parts_.empty(), "portions come in order");
      parts_.push_back(std::move(portion));
      if (ends(parts_.back()->portion)) {
        tell();
        parts_.clear();
      }
    }
    out_.clear();
  }

  void tell() {
    const Transaction& last = *parts_.back();
    require(last.end_position.lsn.to_postgres() == assembler_.last_end_lsn(),
            "a transaction ends where its COMMIT says");
    require(sink::sqlite::to_rfc3339(last.commit_time()).size() == 27, "a commit has a date");
    require(!is_contained(last, {last.commit_lsn(), last.end_position.history}),
            "the start of its commit record does not contain a transaction");
    std::string story;
    std::uint64_t ordinal = 0;
    for (const TransactionPtr& part : parts_) {
      require(part->id() == last.id() && part->commit_lsn() == last.commit_lsn(),
              "all portions are of one transaction");
      for (const Change& change : part->changes()) {
        require(change.ordinal == ordinal++, "ordinals have no gap");
        require(change.data.empty() || change.data.size() == change.table->columns.size(),
                "a row is as wide as its table");
        require(change.before.empty() || change.before.size() == change.data.size(),
                "an old row is as wide as the new one");
        story += fmt::format("{} {} {} {} {}\n", change.table->name.to_string(),
                             to_string(change.operation), described(change.data),
                             described(change.before), change.key_only);
      }
    }
    if (!story.empty()) {
      story_ += fmt::format("{} {} {}\n{}", last.id(), last.commit_lsn().to_string(),
                            last.end_position.to_string(), story);
      pass_on();
    }
    if (last.portion == Portion::kWhole) {
      require(!last.changes().empty(), "a transaction without a change is not handed over");
      name(last.changes().front());
      name(last.changes().back());
    }
  }

  // Binary values may turn out malformed only here.
  static void name(const Change& change) {
    try {
      require(key_values(change).size() == (change.data.empty() ? 0 : change.table->key.size()),
              "a key has all its columns");
      require(compute_change_id(change).size() == 32, "an id has 32 digits");
    } catch (const Error& error) {
      require(error.kind() == ErrorKind::kOperator, "a malformed value is the server's fault");
    }
  }

  // What a sink would be given.
  void pass_on() {
    DataSet operations;
    try {
      for (const TransactionPtr& part : parts_) {
        mirror_.transform({.sink = "fuzz"}, *part, BatchContext{}, operations);
      }
    } catch (const Error& error) {
      require(error.kind() == ErrorKind::kOperator,
              "two tables of one name are a person's concern");
      return;
    }
    NetEffect effect;
    try {
      effect.add(operations.operations);
    } catch (const Error& error) {
      require(error.kind() == ErrorKind::kRow, "an insert that lacks a value is that row's fault");
      return;
    }
    for (const WorkStage& stage : effect.take()) {
      for (const TableWork& work : stage.tables) {
        for (const auto* rows : {&work.deletes, &work.upserts, &work.updates, &work.appends}) {
          require(
              std::all_of(rows->begin(), rows->end(),
                          [&](Row row) { return row.size() == work.table->output.columns.size(); }),
              "the net effect has whole rows");
        }
      }
    }
  }

  FixedClock clock_;
  TransactionAssembler assembler_;
  Mirror mirror_{MirrorOptions{}, SinkNaming::kFlat};
  std::vector<TransactionPtr> out_;
  std::vector<TransactionPtr> parts_;  // of the transaction that has begun and not ended
  std::string story_;
};

const PgoutputMessage* decoded(PgoutputDecoder& decoder, std::string_view bytes) {
  try {
    return &decoder.decode(bytes);
  } catch (const Error& error) {
    require(error.kind() == ErrorKind::kOperator, "a malformed message is the server's fault");
    return nullptr;
  }
}

// REQUIRES: `message` was accepted.
void refuse_truncations(std::string_view message) {
  PgoutputDecoder decoder;
  const std::size_t step = std::max<std::size_t>(1, message.size() / 16);
  for (std::size_t size = 0; size < message.size(); size += step) {
    const ExactCopy cut(message.substr(0, size));
    require(decoded(decoder, cut.view()) == nullptr, "every truncation of a message is refused");
  }
}

void survive_encoding(const PgoutputMessage& message, std::size_t size) {
  const std::string bytes = PgoutputEncoder::encode(message);
  require(bytes.size() == size, "nothing in a message is passed over");
  PgoutputDecoder decoder;
  const PgoutputMessage* again = decoded(decoder, bytes);
  require(again != nullptr && PgoutputEncoder::encode(*again) == bytes,
          "an accepted message survives being encoded");
}

}  // namespace

HEADGATE_FUZZ_TARGET(pgoutput) {
  PgoutputDecoder decoder;
  Assembly whole(std::size_t{1} << 40U);
  Assembly portioned(1);
  // Exceptions are slow with sanitizers: only some messages are looked at in every way, and a
  // stream that is mostly refused is not read to its end.
  int closely = 12;
  int refusals = 20;
  while (input.size() >= 2 && refusals > 0) {
    const std::size_t size = static_cast<std::size_t>(static_cast<unsigned char>(input[0])) << 8U |
                             static_cast<unsigned char>(input[1]);
    input.remove_prefix(2);
    const ExactCopy bytes(input.substr(0, size));
    input.remove_prefix(bytes.view().size());
    const PgoutputMessage* message = decoded(decoder, bytes.view());
    if (message == nullptr) {
      --refusals;
      continue;
    }
    if (--closely >= 0) {
      refuse_truncations(bytes.view());
      survive_encoding(*message, bytes.view().size());
    }
    const bool taken = whole.add(*message);
    require(portioned.add(*message) == taken, "portions change nothing about what is refused");
    refusals -= taken ? 0 : 1;
  }
  require(whole.story() == portioned.story(), "portions add up to the whole transaction");
}

}  // namespace headgate::fuzz
