#include "source/postgres/replication_message.hpp"

#include "source/postgres/wire_reader.hpp"

namespace headgate::source::postgres {

ReplicationMessage parse_replication_message(std::string_view message) {
  WireReader reader(message, "replication message");
  ReplicationMessage parsed;
  switch (reader.character()) {
    case 'w':
      // Start, end and send time. For a logical stream the LSNs are no position (they are not
      // monotonic and often 0), so nothing is taken from here.
      reader.take(3 * sizeof(std::uint64_t));
      if (reader.left() == 0) {
        throw reader.malformed("data that holds nothing");
      }
      parsed.payload = reader.take(reader.left());
      return parsed;
    case 'k':
      parsed.sent_lsn = reader.integer<std::uint64_t>();
      reader.integer<std::uint64_t>();  // the server's clock
      parsed.reply_wanted = reader.integer<std::uint8_t>() != 0;
      reader.expect_end();
      return parsed;
    default:
      throw reader.malformed("neither data nor a keep-alive");
  }
}

}  // namespace headgate::source::postgres
