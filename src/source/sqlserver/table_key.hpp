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

// Rows of a table by their keys: those behind `after`, up to `up_to` and with it; empty: no bound.
// Or, where there are any, those of `only`.
struct KeyRange {
  KeyText after;
  KeyText up_to;
  std::vector<KeyText> only;
};

// Conditions in T-SQL, which compares no rows: `(a, b) > (x, y)` is written out, with what follows
// from it for the first column alone in front, so that the server can seek. Every value has its
// column's own type and collation: the index serves it, and the order is the index's.
class TableKey {
 public:
  struct ColumnFacts {
    std::string collation;  // empty: it has none
    bool nullable = false;
  };
  // Where a condition is asked: the change table has the same columns, but not always their
  // collations, and so another order.
  enum class Where { kTable, kChangeTable };

  // `facts`: of the source table's columns, by their ids.
  TableKey(const CaptureInstance& instance, const std::map<std::uint32_t, ColumnFacts>& facts);

  // Keys can be written down and compared exactly: not floats, whose text the server may read as
  // their neighbour, nor types that are only known as text, nor a NULL. REQUIRES of all that
  // follow.
  bool comparable() const { return comparable_; }

  std::string columns() const;  // as ORDER BY takes them
  // Empty where the range has no bound.
  std::string condition(const KeyRange& range, Where where) const;

 private:
  struct Part {
    std::string name;  // quoted
    DeclaredType type;
    std::string collation;
  };
  std::string name_of(const Part& part, Where where) const;
  std::string literal_of(std::size_t part, const std::string& value) const;
  std::string compare(const KeyText& key, const char* operation, const char* last,
                      Where where) const;
  std::string is(const KeyText& key, Where where) const;

  std::vector<Part> parts_;
  bool comparable_ = true;
};

}  // namespace headgate::source::sqlserver
