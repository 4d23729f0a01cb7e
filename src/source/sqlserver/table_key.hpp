// Comparisons with a table's key, as the server makes them.

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/schema.hpp"
#include "source/sqlserver/capture_instances.hpp"

namespace headgate::source::sqlserver {

// Values of a key as value_text() prints them.
using KeyText = std::vector<std::string>;

// Conditions in T-SQL, which compares no rows: `(a, b) > (x, y)` is written out, with what follows
// from it for the first column alone in front, so that the server can seek. Every value has its
// column's own type and collation: the index serves it, and the order is the index's. Columns go by
// names that table and change table share.
class TableKey {
 public:
  // `collations`: of the table's columns, by their ids. `instance` must outlive it.
  TableKey(const CaptureInstance& instance, const std::map<std::uint32_t, std::string>& collations);

  // Keys can be written down exactly: not floats, whose text the server may read as their
  // neighbour, nor types that are only known as text. REQUIRES of all that follow.
  bool comparable() const { return comparable_; }

  std::string columns() const;  // as ORDER BY takes them
  std::string behind(const KeyText& key) const;
  std::string up_to(const KeyText& key) const;
  std::string is(const KeyText& key) const;

 private:
  struct Part {
    std::string name;  // quoted
    DeclaredType type;
    std::string collation;
  };
  std::string literal_of(std::size_t part, const std::string& value) const;
  std::string compare(const KeyText& key, const char* operation, const char* last) const;

  std::vector<Part> parts_;
  bool comparable_ = true;
};

}  // namespace headgate::source::sqlserver
