#include "pipeline/capturer.hpp"

#include "base/error.hpp"

namespace headgate {

void open_in_session(Capturer& capturer, const StartPoint& start) {
  try {
    capturer.open(start);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kPositionLost) {
      throw Error{ErrorKind::kReread, error.what(), error.hint()};
    }
    throw;
  }
}

}  // namespace headgate
