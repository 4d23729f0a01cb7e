// The report of a daemon as `headgate status` reads it: JSON of another version, or of no daemon.

#include <algorithm>
#include <cctype>
#include <cmath>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "admin/json_text.hpp"
#include "cmd/headgate/status.hpp"
#include "fuzz_target.hpp"

namespace headgate::fuzz {
namespace {

namespace json = boost::json;

bool same(const json::value& a, const json::value& b);

bool same_items(const json::array& a, const json::array& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& x, const auto& y) { return same(x, y); });
}

// A number too large to be one comes back as null. Boost's reader may miss a double by its last
// digits.
bool same(const json::value& a, const json::value& b) {
  if (a.is_array() && b.is_array()) {
    return same_items(a.get_array(), b.get_array());
  }
  if (a.is_object() && b.is_object()) {
    const auto& left = a.get_object();
    const auto& right = b.get_object();
    return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                      [](const auto& x, const auto& y) {
                        return x.key() == y.key() && same(x.value(), y.value());
                      });
  }
  const auto* number = a.if_double();
  if (number == nullptr) {
    return a == b;
  }
  if (!std::isfinite(*number)) {
    return b.is_null();
  }
  return b.is_double() && std::abs(b.get_double() - *number) <= std::abs(*number) * 1e-15;
}

}  // namespace

HEADGATE_FUZZ_TARGET(status_report) {
  json::error_code failure;
  const json::value value = json::parse(json::string_view(input.data(), input.size()), failure);
  if (failure) {
    return;
  }
  const std::string text = json_text(value);
  const json::value again = json::parse(text, failure);
  require(!failure && same(value, again), "what was parsed survives being written");
  require(text.find('\n') == text.size() - 1, "JSON is written on one line");
  if (value.is_object()) {
    const std::string table = status_table(value.get_object());
    for (const char c : table) {
      require(c == '\n' || std::iscntrl(static_cast<unsigned char>(c)) == 0,
              "nothing in a report moves the cursor");
    }
  }
}

}  // namespace headgate::fuzz
