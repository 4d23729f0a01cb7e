// Reads big-endian fields from a message of the server, never past its end.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include <fmt/format.h>

#include "base/error.hpp"

namespace headgate::source::postgres {

class WireReader {
 public:
  // `what` names the message in errors.
  WireReader(std::string_view bytes, std::string_view what) : bytes_(bytes), what_(what) {}

  template <typename Integer>
  Integer integer() {
    const std::string_view field = take(sizeof(Integer));
    std::make_unsigned_t<Integer> value = 0;
    for (const char c : field) {
      value = static_cast<std::make_unsigned_t<Integer>>(static_cast<std::uint64_t>(value) << 8 |
                                                         static_cast<unsigned char>(c));
    }
    return static_cast<Integer>(value);
  }

  char character() { return take(1).front(); }

  std::string_view take(std::size_t size) {
    if (size > bytes_.size() - at_) {
      throw malformed("it ends too early");
    }
    const std::string_view field = bytes_.substr(at_, size);
    at_ += size;
    return field;
  }

  // Up to a NUL, which is consumed.
  std::string_view string() {
    const std::size_t end = bytes_.find('\0', at_);
    if (end == std::string_view::npos) {
      throw malformed("a string has no end");
    }
    const std::string_view text = bytes_.substr(at_, end - at_);
    at_ = end + 1;
    return text;
  }

  std::size_t left() const { return bytes_.size() - at_; }

  void expect_end() const {
    if (left() != 0) {
      throw malformed(fmt::format("{} bytes are left over", left()));
    }
  }

  Error malformed(std::string_view why) const {
    return Error{ErrorKind::kOperator,
                 fmt::format("malformed {} from the source server at byte {}: {}", what_, at_, why),
                 "is something between here and the server changing the stream? please report it"};
  }

 private:
  std::string_view bytes_;
  std::string_view what_;
  std::size_t at_ = 0;
};

}  // namespace headgate::source::postgres
