#include "source/postgres/pgoutput_decoder.hpp"

#include <algorithm>
#include <utility>

#include "source/postgres/wire_reader.hpp"

namespace headgate::source::postgres {
namespace {

constexpr std::chrono::microseconds kEpoch{std::int64_t{946684800} * 1000000};

}  // namespace

class PgoutputDecoder::Reader : public WireReader {
 public:
  using WireReader::WireReader;

  WallTime time() { return from_postgres_time(integer<std::int64_t>()); }
};

WallTime from_postgres_time(std::int64_t microseconds) {
  // No server's clock says more, and all arithmetic on what lies between is safe.
  constexpr WallTime kMin = std::chrono::sys_days{std::chrono::year{1} / 1 / 1};
  constexpr WallTime kMax = std::chrono::sys_days{std::chrono::year{9999} / 12 / 31};
  return WallTime{kEpoch + std::chrono::microseconds{std::clamp(
                               microseconds, to_postgres_time(kMin), to_postgres_time(kMax))}};
}

std::int64_t to_postgres_time(WallTime time) {
  return (time.time_since_epoch() - kEpoch).count();
}

namespace {

template <typename Reader>
BeginMessage read_begin(Reader& reader) {
  BeginMessage begin;
  begin.commit_lsn = reader.template integer<std::uint64_t>();
  begin.commit_time = reader.time();
  begin.xid = reader.template integer<std::uint32_t>();
  return begin;
}

template <typename Reader>
CommitMessage read_commit(Reader& reader) {
  CommitMessage commit;
  reader.template integer<std::uint8_t>();  // flags, unused by the protocol
  commit.commit_lsn = reader.template integer<std::uint64_t>();
  commit.end_lsn = reader.template integer<std::uint64_t>();
  commit.commit_time = reader.time();
  return commit;
}

template <typename Reader>
RelationMessage read_relation(Reader& reader) {
  RelationMessage relation;
  relation.relation = reader.template integer<std::uint32_t>();
  relation.schema = reader.string();
  relation.table = reader.string();
  relation.identity = reader.character();
  const auto count = reader.template integer<std::uint16_t>();
  for (unsigned i = 0; i < count; ++i) {
    RelationColumn column;
    column.identity = (reader.template integer<std::uint8_t>() & 1U) != 0;
    column.name = reader.string();
    column.type_oid = reader.template integer<std::uint32_t>();
    column.type_modifier = reader.template integer<std::int32_t>();
    relation.columns.push_back(column);
  }
  return relation;
}

template <typename Reader>
TruncateMessage read_truncate(Reader& reader) {
  TruncateMessage truncate;
  const auto count = reader.template integer<std::uint32_t>();
  const auto flags = reader.template integer<std::uint8_t>();
  truncate.cascade = (flags & 1U) != 0;
  truncate.restart_identity = (flags & 2U) != 0;
  // Checked before anything is allocated: the count comes from outside.
  if (count > reader.left() / sizeof(std::uint32_t)) {
    throw reader.malformed("it announces more tables than it holds");
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    truncate.relations.push_back(reader.template integer<std::uint32_t>());
  }
  return truncate;
}

template <typename Reader>
LogicalMessage read_logical_message(Reader& reader) {
  LogicalMessage message;
  message.transactional = (reader.template integer<std::uint8_t>() & 1U) != 0;
  message.lsn = reader.template integer<std::uint64_t>();
  message.prefix = reader.string();
  message.content = reader.take(reader.template integer<std::uint32_t>());
  return message;
}

template <typename Reader>
StreamAbortMessage read_stream_abort(Reader& reader) {
  StreamAbortMessage abort;
  abort.xid = reader.template integer<std::uint32_t>();
  abort.subxid = reader.template integer<std::uint32_t>();
  if (reader.left() > 0) {  // LSN and time, which a parallel stream adds
    reader.take(sizeof(std::uint64_t) * 2);
  }
  return abort;
}

}  // namespace

StreamedMessage StreamedMessage::split(std::string_view message) {
  WireReader reader(message, "pgoutput message");
  StreamedMessage streamed;
  streamed.type = reader.character();
  switch (streamed.type) {
    case 'R':
    case 'Y':
    case 'I':
    case 'U':
    case 'D':
    case 'T':
    case 'M':
      streamed.xid = reader.integer<std::uint32_t>();
      break;
    case 'O':
      break;
    default:
      throw reader.malformed(fmt::format("a message of type 0x{:02x} within a streamed segment",
                                         static_cast<unsigned char>(streamed.type)));
  }
  streamed.rest = reader.take(reader.left());
  return streamed;
}

Row PgoutputDecoder::read_row(Reader& reader, std::vector<Value>& row) {
  const auto count = reader.integer<std::uint16_t>();
  row.clear();
  for (unsigned i = 0; i < count; ++i) {
    switch (reader.character()) {
      case 'n':
        row.push_back(Value::null());
        break;
      case 'u':
        row.push_back(Value::unchanged());
        break;
      case 't':
        row.push_back(Value::text(reader.take(reader.integer<std::uint32_t>())));
        break;
      case 'b':
        row.push_back(Value::binary(reader.take(reader.integer<std::uint32_t>())));
        break;
      default:
        throw reader.malformed("a column is of no known kind");
    }
  }
  return row;
}

UpdateMessage PgoutputDecoder::read_update(Reader& reader) {
  UpdateMessage update;
  update.relation = reader.integer<std::uint32_t>();
  char kind = reader.character();
  if (kind == 'K' || kind == 'O') {
    update.old_kind = kind;
    update.old_row = read_row(reader, old_row_);
    kind = reader.character();
  }
  if (kind != 'N') {
    throw reader.malformed("an update has no new row");
  }
  update.row = read_row(reader, row_);
  return update;
}

const PgoutputMessage& PgoutputDecoder::decode(std::string_view bytes) {
  Reader reader(bytes, "pgoutput message");
  const char kind = reader.character();
  switch (kind) {
    case 'B':
      message_ = read_begin(reader);
      break;
    case 'C':
      message_ = read_commit(reader);
      break;
    case 'O': {
      OriginMessage origin;
      origin.origin_lsn = reader.integer<std::uint64_t>();
      origin.name = reader.string();
      message_ = origin;
      break;
    }
    case 'R':
      message_ = read_relation(reader);
      break;
    case 'Y': {
      TypeMessage type;
      type.type_oid = reader.integer<std::uint32_t>();
      type.schema = reader.string();
      type.name = reader.string();
      message_ = type;
      break;
    }
    case 'I': {
      InsertMessage insert;
      insert.relation = reader.integer<std::uint32_t>();
      if (reader.character() != 'N') {
        throw reader.malformed("an insert has no new row");
      }
      insert.row = read_row(reader, row_);
      message_ = insert;
      break;
    }
    case 'U':
      message_ = read_update(reader);
      break;
    case 'D': {
      DeleteMessage erase;
      erase.relation = reader.integer<std::uint32_t>();
      erase.old_kind = reader.character();
      if (erase.old_kind != 'K' && erase.old_kind != 'O') {
        throw reader.malformed("a delete has no old row");
      }
      erase.old_row = read_row(reader, old_row_);
      message_ = erase;
      break;
    }
    case 'T':
      message_ = read_truncate(reader);
      break;
    case 'M':
      message_ = read_logical_message(reader);
      break;
    case 'S': {
      StreamStartMessage start;
      start.xid = reader.integer<std::uint32_t>();
      start.first_segment = reader.integer<std::uint8_t>() != 0;
      message_ = start;
      break;
    }
    case 'E':
      message_ = StreamStopMessage{};
      break;
    case 'c': {
      StreamCommitMessage commit;
      commit.xid = reader.integer<std::uint32_t>();
      commit.commit = read_commit(reader);
      message_ = commit;
      break;
    }
    case 'A':
      message_ = read_stream_abort(reader);
      break;
    default:
      throw reader.malformed(
          fmt::format("a message of unknown type 0x{:02x}", static_cast<unsigned char>(kind)));
  }
  reader.expect_end();
  return message_;
}

}  // namespace headgate::source::postgres
