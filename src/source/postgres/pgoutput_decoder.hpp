// pgoutput's messages, protocol versions 1 and 2 (and 4 without parallel streaming): bytes in,
// events out.
//
// Layout: PostgreSQL documentation, "Logical Replication Message Formats". All integers are
// big-endian, strings end in NUL, times are microseconds since 2000-01-01 UTC.

#pragma once

#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.hpp"
#include "core/value.hpp"

namespace headgate::source::postgres {

struct BeginMessage {
  std::uint64_t commit_lsn = 0;  // start of the commit record: equals CommitMessage::commit_lsn
  WallTime commit_time{};
  std::uint32_t xid = 0;
};

struct CommitMessage {
  std::uint64_t commit_lsn = 0;
  std::uint64_t end_lsn = 0;  // what is acknowledged
  WallTime commit_time{};
};

// After BEGIN, of a transaction that was itself replicated to the source.
struct OriginMessage {
  std::uint64_t origin_lsn = 0;
  std::string_view name;
};

struct RelationColumn {
  std::string_view name;
  std::uint32_t type_oid = 0;
  std::int32_t type_modifier = -1;
  bool identity = false;
};

// Before the first change of a relation per connection, and again after anything touched it; equal
// repetitions are common and mean nothing.
struct RelationMessage {
  std::uint32_t relation = 0;  // OID of the table
  std::string_view schema;     // empty for pg_catalog
  std::string_view table;
  char identity = 'd';  // d default, n nothing, f full, i index
  std::vector<RelationColumn> columns;
};

// Before a Relation with a column of a user's type.
struct TypeMessage {
  std::uint32_t type_oid = 0;
  std::string_view schema;
  std::string_view name;
};

struct InsertMessage {
  std::uint32_t relation = 0;
  Row row;
};

struct UpdateMessage {
  std::uint32_t relation = 0;
  char old_kind =
      0;  // 'K' identity columns only, 'O' whole old row, 0 none: the key did not change
  Row old_row;
  Row row;
};

struct DeleteMessage {
  std::uint32_t relation = 0;
  char old_kind = 'K';  // as above, never 0
  Row old_row;
};

struct TruncateMessage {
  bool cascade = false;
  bool restart_identity = false;
  std::vector<std::uint32_t> relations;
};

// pg_logical_emit_message; outside BEGIN … COMMIT when not transactional.
struct LogicalMessage {
  bool transactional = false;
  std::uint64_t lsn = 0;
  std::string_view prefix;
  std::string_view content;
};

// From here on, until StreamStop, come changes of a transaction that is still in progress. Between
// two segments of it, others and whole transactions may stand; segments do not nest.
struct StreamStartMessage {
  std::uint32_t xid = 0;
  bool first_segment = false;
};

struct StreamStopMessage {};

struct StreamCommitMessage {
  std::uint32_t xid = 0;
  CommitMessage commit;
};

// With `subxid` equal to `xid` the whole transaction, otherwise one savepoint of it.
struct StreamAbortMessage {
  std::uint32_t xid = 0;
  std::uint32_t subxid = 0;
};

using PgoutputMessage =
    std::variant<BeginMessage, CommitMessage, OriginMessage, RelationMessage, TypeMessage,
                 InsertMessage, UpdateMessage, DeleteMessage, TruncateMessage, LogicalMessage,
                 StreamStartMessage, StreamStopMessage, StreamCommitMessage, StreamAbortMessage>;

// Within a segment, messages about rows and tables carry the id of the (sub)transaction that they
// belong to, behind their first byte. Decoded is what is left without it.
struct StreamedMessage {
  std::uint32_t xid = 0;  // 0: the message has none
  char type = 0;
  std::string_view rest;  // behind type and xid

  // Throws Error{kOperator} as PgoutputDecoder::decode() does.
  static StreamedMessage split(std::string_view message);
};

// Decodes one message after the other. Rows and names of a message point into the bytes given and
// into the decoder, and are valid until the next decode(). Not thread-safe.
class PgoutputDecoder {
 public:
  // Throws Error{kOperator} that says what is malformed and at which byte. Whatever the bytes are,
  // nothing else happens.
  const PgoutputMessage& decode(std::string_view message);

 private:
  class Reader;

  Row read_row(Reader& reader, std::vector<Value>& row);
  UpdateMessage read_update(Reader& reader);

  PgoutputMessage message_;
  std::vector<Value> row_;
  std::vector<Value> old_row_;
};

// PostgreSQL's epoch: 2000-01-01 00:00:00 UTC. What lies beyond the years 1 to 9999 becomes the
// nearest of their days.
WallTime from_postgres_time(std::int64_t microseconds);
std::int64_t to_postgres_time(WallTime time);

}  // namespace headgate::source::postgres
