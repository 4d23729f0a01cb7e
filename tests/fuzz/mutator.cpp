#include "mutator.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace headgate::fuzz {
namespace {

using namespace std::string_view_literals;

// What parsers stumble over.
constexpr std::array kPieces = {
    "\0"sv,
    "\0\0\0\0"sv,
    "\xFF\xFF"sv,
    "\xFF\xFF\xFF\xFF"sv,
    "\x7F\xFF\xFF\xFF"sv,
    "\x80"sv,
    "\n"sv,
    "\r\n"sv,
    "'"sv,
    "\""sv,
    "\\"sv,
    "="sv,
    "${"sv,
    "%"sv,
    "%00"sv,
    "@"sv,
    ":"sv,
    "/"sv,
    "*"sv,
    "!"sv,
    "["sv,
    "]"sv,
    "{"sv,
    "-"sv,
    "."sv,
    "e"sv,
    "0x"sv,
    "99999999999"sv,
    "NaN"sv,
    "hunter2"sv,
    "\xC3"sv,
    "\xED\xA0"sv,
};

constexpr std::size_t kBytesMax = std::size_t{64} * 1024;

}  // namespace

std::string Mutator::changed(std::string input, const std::string& other) {
  for (std::size_t changes = 1 + pick(4); changes > 0; --changes) {
    change(input, other);
  }
  input.resize(std::min(input.size(), kBytesMax));
  return input;
}

void Mutator::change(std::string& input, const std::string& other) {
  const std::size_t at = pick(input.size() + 1);
  const std::size_t left = input.size() - at;
  switch (pick(8)) {
    case 0:  // a bit
      if (left > 0) {
        input[at] = static_cast<char>(input[at] ^ (1 << pick(8)));
      }
      break;
    case 1:  // a byte
      if (left > 0) {
        input[at] = static_cast<char>(pick(256));
      }
      break;
    case 2:
      input.resize(at);
      break;
    case 3:
      input.erase(at, 1 + pick(8));
      break;
    case 4:
      input.insert(at, kPieces[pick(kPieces.size())]);
      break;
    case 5:
      input.insert(at, piece_of(input));
      break;
    case 6:
      input.insert(at, piece_of(other));
      break;
    default:  // the end of another one
      input.resize(at);
      input += other.substr(pick(other.size() + 1));
      break;
  }
}

std::string Mutator::piece_of(const std::string& text) {
  const std::size_t at = pick(text.size() + 1);
  return text.substr(at, pick(64));
}

}  // namespace headgate::fuzz
