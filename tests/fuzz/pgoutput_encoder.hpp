// pgoutput's messages back to bytes, by the documentation and not by our decoder.

#pragma once

#include <string>

#include "source/postgres/pgoutput_decoder.hpp"
#include "tests/source/message_bytes.hpp"

namespace headgate::fuzz {

class PgoutputEncoder {
 public:
  using Bytes = source::postgres::MessageBytes;

  static std::string encode(const source::postgres::PgoutputMessage& message) {
    return std::visit([](const auto& event) { return std::string(bytes_of(event)); }, message);
  }

 private:
  static std::uint64_t time(WallTime time) {
    return static_cast<std::uint64_t>(source::postgres::to_postgres_time(time));
  }

  static void add_row(Bytes& bytes, Row row) {
    bytes.u16(static_cast<std::uint16_t>(row.size()));
    for (const Value& value : row) {
      switch (value.kind) {
        case ValueKind::kNull:
          bytes.null_value();
          break;
        case ValueKind::kUnchanged:
          bytes.unchanged_value();
          break;
        case ValueKind::kText:
          bytes.text_value(value.bytes());
          break;
        case ValueKind::kBinary:
          bytes.binary_value(value.bytes());
          break;
      }
    }
  }

  static Bytes bytes_of(const source::postgres::BeginMessage& begin) {
    return Bytes('B').u64(begin.commit_lsn).u64(time(begin.commit_time)).u32(begin.xid);
  }
  static Bytes bytes_of(const source::postgres::CommitMessage& commit) {
    return Bytes('C')
        .u8(0)
        .u64(commit.commit_lsn)
        .u64(commit.end_lsn)
        .u64(time(commit.commit_time));
  }
  static Bytes bytes_of(const source::postgres::StreamStartMessage& start) {
    return Bytes('S').u32(start.xid).u8(start.first_segment ? 1 : 0);
  }
  static Bytes bytes_of(const source::postgres::StreamStopMessage&) { return Bytes('E'); }
  static Bytes bytes_of(const source::postgres::StreamCommitMessage& stream) {
    return Bytes('c')
        .u32(stream.xid)
        .u8(0)
        .u64(stream.commit.commit_lsn)
        .u64(stream.commit.end_lsn)
        .u64(time(stream.commit.commit_time));
  }
  static Bytes bytes_of(const source::postgres::StreamAbortMessage& abort) {
    return Bytes('A').u32(abort.xid).u32(abort.subxid);
  }
  static Bytes bytes_of(const source::postgres::OriginMessage& origin) {
    return Bytes('O').u64(origin.origin_lsn).string(origin.name);
  }
  static Bytes bytes_of(const source::postgres::RelationMessage& relation) {
    Bytes bytes('R');
    bytes.u32(relation.relation).string(relation.schema).string(relation.table);
    bytes.letter(relation.identity).u16(static_cast<std::uint16_t>(relation.columns.size()));
    for (const auto& column : relation.columns) {
      bytes.u8(column.identity ? 1 : 0).string(column.name).u32(column.type_oid);
      bytes.u32(static_cast<std::uint32_t>(column.type_modifier));
    }
    return bytes;
  }
  static Bytes bytes_of(const source::postgres::TypeMessage& type) {
    return Bytes('Y').u32(type.type_oid).string(type.schema).string(type.name);
  }
  static Bytes bytes_of(const source::postgres::InsertMessage& insert) {
    Bytes bytes('I');
    bytes.u32(insert.relation).letter('N');
    add_row(bytes, insert.row);
    return bytes;
  }
  static Bytes bytes_of(const source::postgres::UpdateMessage& update) {
    Bytes bytes('U');
    bytes.u32(update.relation);
    if (update.old_kind != 0) {
      bytes.letter(update.old_kind);
      add_row(bytes, update.old_row);
    }
    bytes.letter('N');
    add_row(bytes, update.row);
    return bytes;
  }
  static Bytes bytes_of(const source::postgres::DeleteMessage& erase) {
    Bytes bytes('D');
    bytes.u32(erase.relation).letter(erase.old_kind);
    add_row(bytes, erase.old_row);
    return bytes;
  }
  static Bytes bytes_of(const source::postgres::TruncateMessage& truncate) {
    Bytes bytes('T');
    bytes.u32(static_cast<std::uint32_t>(truncate.relations.size()));
    bytes.u8(static_cast<std::uint8_t>((truncate.cascade ? 1 : 0) |
                                       (truncate.restart_identity ? 2 : 0)));
    for (const std::uint32_t relation : truncate.relations) {
      bytes.u32(relation);
    }
    return bytes;
  }
  static Bytes bytes_of(const source::postgres::LogicalMessage& message) {
    Bytes bytes('M');
    bytes.u8(message.transactional ? 1 : 0).u64(message.lsn).string(message.prefix);
    return bytes.u32(static_cast<std::uint32_t>(message.content.size())).raw(message.content);
  }
};

}  // namespace headgate::fuzz
