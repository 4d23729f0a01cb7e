// Timeline history files of a server, and the history that a sink's position names.

#include <string>

#include "base/error.hpp"
#include "fuzz_target.hpp"
#include "source/postgres/timeline.hpp"

namespace headgate::fuzz {

HEADGATE_FUZZ_TARGET(timeline) {
  using namespace source::postgres;
  const ExactCopy bytes(input);

  if (const auto history = parse_history({std::string(bytes.view())})) {
    const auto again = parse_history(history->to_history());
    require(again && again->system_id == history->system_id &&
                again->timeline == history->timeline && again->database == history->database,
            "a history is written as it is read");
    require(continues(*history, {}, {LSN::from_postgres(1), history->to_history()}),
            "every history continues itself");
  }

  try {
    std::string written;
    for (const TimelineSwitch& each : parse_timeline_history(bytes.view())) {
      written += std::to_string(each.timeline) + "\t" + LSN::from_postgres(each.lsn).to_string() +
                 "\treason\n";
    }
    const auto read = parse_timeline_history(written);
    std::string rewritten;
    for (const TimelineSwitch& each : read) {
      rewritten += std::to_string(each.timeline) + "\t" + LSN::from_postgres(each.lsn).to_string() +
                   "\treason\n";
    }
    require(written == rewritten, "a timeline history is written as it is read");
  } catch (const Error& error) {
    require(error.kind() == ErrorKind::kOperator, "what is no file is a person's concern");
  }
}

}  // namespace headgate::fuzz
