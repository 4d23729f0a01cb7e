// The envelope of the replication stream: what the server sends within START_REPLICATION.
//
// Layout: PostgreSQL documentation, "Streaming Replication Protocol".

#pragma once

#include <cstdint>
#include <string_view>

namespace headgate::source::postgres {

// One message of the stream: the plugin's bytes, or the LSN of a keep-alive.
struct ReplicationMessage {
  std::string_view payload;    // points into the message; empty for a keep-alive, and never else
  std::uint64_t sent_lsn = 0;  // keep-alive: all before it has been decoded and sent
  bool reply_wanted = false;
};

// Throws Error{kOperator} that says what is malformed and at which byte.
ReplicationMessage parse_replication_message(std::string_view message);

}  // namespace headgate::source::postgres
