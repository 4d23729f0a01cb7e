// The envelope of the replication stream.

#include "base/error.hpp"
#include "fuzz_target.hpp"
#include "source/postgres/replication_message.hpp"
#include "tests/source/message_bytes.hpp"

namespace headgate::fuzz {
namespace {

using source::postgres::MessageBytes;
using source::postgres::parse_replication_message;
using source::postgres::ReplicationMessage;

bool is_refused(std::string_view message) {
  try {
    parse_replication_message(ExactCopy(message).view());
    return false;
  } catch (const Error& error) {
    require(error.kind() == ErrorKind::kOperator, "a malformed message is the server's fault");
    return true;
  }
}

}  // namespace

HEADGATE_FUZZ_TARGET(replication_message) {
  const ExactCopy message(input);
  ReplicationMessage parsed;
  try {
    parsed = parse_replication_message(message.view());
  } catch (const Error& error) {
    require(error.kind() == ErrorKind::kOperator, "a malformed message is the server's fault");
    return;
  }
  constexpr std::size_t kDataHeader = 1 + 3 * 8;
  if (input[0] == 'w') {
    require(parsed.payload == input.substr(kDataHeader) && !parsed.payload.empty(),
            "data is what follows the header");
    require(is_refused(input.substr(0, kDataHeader)), "data without a message is refused");
    require(parsed.sent_lsn == 0 && !parsed.reply_wanted, "data is no keep-alive");
    return;
  }
  const std::string header = MessageBytes('k').u64(parsed.sent_lsn);
  require(input.substr(0, header.size()) == header && parsed.payload.empty(),
          "a keep-alive survives being encoded");
  require(parsed.reply_wanted == (input.back() != 0), "a reply is wanted by any other byte than 0");
  for (std::size_t size = 0; size < input.size(); ++size) {
    require(is_refused(input.substr(0, size)), "every truncation of a keep-alive is refused");
  }
  require(is_refused(std::string(input) + '\0'), "what follows a keep-alive is refused");
}

}  // namespace headgate::fuzz
