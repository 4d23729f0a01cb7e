#include "core/change.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>

#include <boost/json.hpp>
#include <openssl/evp.h>

#include "base/check.hpp"
#include "base/hex.hpp"
#include "core/value_text.hpp"

namespace headgate {
namespace {

constexpr std::size_t kIdBytes = 16;  // of the digest's 32

// A key column's value in the newest form of the row that the change carries. An update that leaves
// a large key value alone does not send it again; the old row then has it.
Value newest(const Change& change, std::size_t column) {
  const Value value = change.data[column];
  if (!value.is_unchanged() || change.before.empty()) {
    return value;
  }
  const bool padding = change.key_only && !change.table->columns[column].identity;
  return padding ? value : change.before[column];
}

boost::json::value json_value(const Column& column, const Value& value) {
  if (value.is_null()) {
    return nullptr;
  }
  const std::string text = value_text(column, value);
  std::string_view shown = text;
  // The server prints binary as `\x` and digits; the digits alone are what the id is made of.
  if (column.family == TypeFamily::kBytes && shown.starts_with("\\x")) {
    shown.remove_prefix(2);
  }
  return boost::json::string(shown);
}

std::string sha256(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  const int done =
      EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr);
  HEADGATE_CHECK(done == 1 && size == 32, "OpenSSL always has SHA-256");
  return {digest.begin(), digest.begin() + size};
}

}  // namespace

std::vector<Value> key_values(const Change& change) {
  std::vector<Value> values;
  if (change.data.empty()) {  // a truncate has no row
    return values;
  }
  HEADGATE_CHECK(change.data.size() == change.table->columns.size(), "a row has all its columns");
  values.reserve(change.table->key.size());
  for (const std::size_t column : change.table->key) {
    values.push_back(newest(change, column));
  }
  return values;
}

std::string compute_change_id(const Change& change) {
  std::string text(change.transaction_id);
  text += change.table->name.to_string();
  text += canonical_json(*change.table, change.data);
  text += change.lsn.to_hex();
  text += to_string(change.operation);
  return to_hex(std::string_view(sha256(text)).substr(0, kIdBytes));
}

std::string canonical_json(const TableSchema& table, Row row) {
  HEADGATE_CHECK(row.empty() || row.size() == table.columns.size(), "a row has all its columns");
  std::vector<std::size_t> sent;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (!row[i].is_unchanged()) {
      sent.push_back(i);
    }
  }
  // Bytewise: char_traits compares as unsigned char, whatever the locale.
  std::sort(sent.begin(), sent.end(), [&](std::size_t a, std::size_t b) {
    return table.columns[a].name < table.columns[b].name;
  });

  boost::json::object object;  // keeps the order in which it is filled
  for (const std::size_t i : sent) {
    object.emplace(table.columns[i].name, json_value(table.columns[i], row[i]));
  }
  return boost::json::serialize(object);
}

}  // namespace headgate
