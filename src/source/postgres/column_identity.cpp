#include "source/postgres/column_identity.hpp"

#include <algorithm>
#include <limits>
#include <string_view>

#include <fmt/format.h>

namespace headgate::source::postgres {
namespace {

// How much must have happened to the table since for `attribute` to be `column`; what is unlikely
// costs more. The figures only say what is preferred to what.
unsigned cost_of_change(const ColumnDescription& column, const Attribute& attribute) {
  if (attribute.dropped) {
    return 1;  // dropped since
  }
  const bool same_name = column.name == attribute.name;
  const bool same_type =
      column.type_oid == attribute.type_oid && column.type_modifier == attribute.type_modifier;
  if (attribute.generated) {
    return same_name && same_type ? 0 : 16;
  }
  return (same_name ? 0U : 2U) + (same_type ? 0U : 1U);
}

// For `attribute` to be none of the stream's columns.
unsigned cost_of_absence(const Attribute& attribute) {
  return attribute.dropped || attribute.generated ? 0 : 1;  // added since, or not published
}

bool equal_runs(const std::vector<ColumnDescription>& columns,
                const std::vector<const Attribute*>& attributes) {
  return std::equal(columns.begin(), columns.end(), attributes.begin(), attributes.end(),
                    [](const ColumnDescription& column, const Attribute* attribute) {
                      return cost_of_change(column, *attribute) == 0;
                    });
}

// Least costs of aligning the first i columns with the first j attributes.
class Costs {
 public:
  static constexpr unsigned kImpossible = std::numeric_limits<unsigned>::max() / 4;

  Costs(std::size_t columns, std::size_t attributes)
      : width_(attributes + 1), cells_((columns + 1) * width_, kImpossible) {}

  unsigned& at(std::size_t column, std::size_t attribute) {
    return cells_[column * width_ + attribute];
  }

 private:
  std::size_t width_;
  std::vector<unsigned> cells_;
};

// The value is not in the log; a table's root has none of its own, so its partitions are asked.
ColumnFill partitions_fill(pq::Connection& connection, std::uint32_t oid,
                           const std::string& column) {
  const pq::Result rows = connection.exec(
      "SELECT DISTINCT a.atthasmissing, array_to_string(a.attmissingval, '') "
      "FROM pg_partition_tree($1::oid) p JOIN pg_attribute a ON a.attrelid = p.relid "
      "WHERE p.isleaf AND a.attname = $2 AND NOT a.attisdropped",
      {std::to_string(oid), column}, "read the columns of partitions");
  if (rows.rows() == 0) {
    return {};  // no partition, no rows
  }
  if (rows.rows() == 1 && rows.boolean(0, 0)) {
    return {ColumnFill::Kind::kText, rows.text(0, 1)};
  }
  return {ColumnFill::Kind::kUnknown, {}};
}

// Aligns the columns with the attributes at the least cost.
std::vector<const Attribute*> align(std::uint32_t oid,
                                    const std::vector<ColumnDescription>& columns,
                                    const std::vector<Attribute>& attributes,
                                    const SeenColumns& seen) {
  const auto cost_of_pair = [&](const ColumnDescription& column, const Attribute& attribute) {
    return seen.had(oid, attribute.number, column) ? 0U : cost_of_change(column, attribute);
  };
  std::vector<const Attribute*> present;
  for (const Attribute& attribute : attributes) {
    if (!attribute.dropped && !attribute.generated) {
      present.push_back(&attribute);
    }
  }
  if (equal_runs(columns, present)) {
    return present;  // nothing has happened since
  }

  const std::size_t n = columns.size();
  const std::size_t m = attributes.size();
  Costs front(n, m);
  Costs back(n, m);  // of the columns from i and the attributes from j on
  front.at(0, 0) = 0;
  for (std::size_t i = 0; i <= n; ++i) {
    for (std::size_t j = (i == 0 ? 1 : i); j <= m; ++j) {
      const unsigned absent =
          j > i ? front.at(i, j - 1) + cost_of_absence(attributes[j - 1]) : Costs::kImpossible;
      const unsigned paired =
          i > 0 ? front.at(i - 1, j - 1) + cost_of_pair(columns[i - 1], attributes[j - 1])
                : Costs::kImpossible;
      front.at(i, j) = std::min({absent, paired, Costs::kImpossible});
    }
  }
  back.at(n, m) = 0;
  for (std::size_t i = n + 1; i-- > 0;) {
    for (std::size_t j = m; j-- > 0;) {
      const unsigned absent = back.at(i, j + 1) + cost_of_absence(attributes[j]);
      const unsigned paired = i < n
                                  ? back.at(i + 1, j + 1) + cost_of_pair(columns[i], attributes[j])
                                  : Costs::kImpossible;
      back.at(i, j) = std::min({absent, paired, Costs::kImpossible});
    }
  }

  std::vector<const Attribute*> found(n, nullptr);
  const unsigned least = front.at(n, m);
  for (std::size_t i = 0; i < n && least < Costs::kImpossible; ++i) {
    unsigned ways = 0;
    for (std::size_t j = 0; j < m; ++j) {
      if (front.at(i, j) + cost_of_pair(columns[i], attributes[j]) + back.at(i + 1, j + 1) ==
          least) {
        ++ways;
        found[i] = &attributes[j];
      }
    }
    if (ways != 1) {
      found[i] = nullptr;
    }
  }
  return found;
}

}  // namespace

std::vector<Attribute> read_attributes(pq::Connection& connection, std::uint32_t oid) {
  // Until 11 a default rewrote the table and left no trace; generated columns came with 12.
  const bool has_missing = connection.server_version() >= 110000;
  const bool has_generated = connection.server_version() >= 120000;
  const pq::Result rows = connection.exec(
      fmt::format(
          "SELECT a.attnum, a.attname, a.attisdropped, {}, a.atttypid, a.atttypmod, {}, {}, "
          "       a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL, "
          "       c.relkind = 'p' "
          "FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
          "LEFT JOIN pg_type t ON t.oid = a.atttypid "
          "WHERE a.attrelid = $1::oid AND a.attnum > 0 ORDER BY a.attnum",
          has_generated ? "a.attgenerated <> ''" : "false",
          has_missing ? "a.atthasmissing" : "false",
          has_missing ? "array_to_string(a.attmissingval, '')" : "NULL"),
      {std::to_string(oid)}, "read the columns of a table");
  std::vector<Attribute> attributes;
  for (int row = 0; row < rows.rows(); ++row) {
    Attribute attribute;
    attribute.number = static_cast<std::uint32_t>(rows.integer(row, 0));
    attribute.name = rows.text(row, 1);
    attribute.dropped = rows.boolean(row, 2);
    attribute.generated = rows.boolean(row, 3);
    attribute.type_oid = static_cast<std::uint32_t>(rows.integer(row, 4));
    attribute.type_modifier = static_cast<std::int32_t>(rows.integer(row, 5));
    const bool filled_by_itself = rows.boolean(row, 8);
    if (rows.boolean(row, 6) && !rows.is_null(row, 7)) {
      attribute.fill = {ColumnFill::Kind::kText, rows.text(row, 7)};
    } else if (filled_by_itself && !attribute.dropped && !attribute.generated) {
      const bool partitioned = rows.boolean(row, 9) && connection.server_version() >= 120000;
      attribute.fill = partitioned ? partitions_fill(connection, oid, attribute.name)
                                   : ColumnFill{ColumnFill::Kind::kUnknown, {}};
    }
    attributes.push_back(std::move(attribute));
  }
  return attributes;
}

bool SeenColumns::had(std::uint32_t oid, std::uint32_t number,
                      const ColumnDescription& column) const {
  const auto table = tables_.find(oid);
  if (table == tables_.end()) {
    return false;
  }
  const auto found = table->second.find(number);
  return found != table->second.end() && found->second.name == column.name &&
         found->second.type_oid == column.type_oid &&
         found->second.type_modifier == column.type_modifier;
}

void SeenColumns::remember(std::uint32_t oid, std::uint32_t number,
                           const ColumnDescription& column) {
  tables_[oid].insert_or_assign(number, Seen{column.name, column.type_oid, column.type_modifier});
}

std::vector<const Attribute*> identify_columns(std::uint32_t oid,
                                               const std::vector<ColumnDescription>& columns,
                                               const std::vector<Attribute>& attributes,
                                               SeenColumns& seen) {
  std::vector<const Attribute*> found = align(oid, columns, attributes, seen);
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (found[i] != nullptr) {
      seen.remember(oid, found[i]->number, columns[i]);
    }
  }
  return found;
}

void look_at_tables(pq::Connection& connection, const std::vector<std::uint32_t>& oids,
                    SeenColumns& seen) {
  std::string unseen = "{";
  for (const std::uint32_t oid : oids) {
    if (!seen.knows(oid)) {
      unseen += (unseen.size() > 1 ? "," : "") + std::to_string(oid);
    }
  }
  if (unseen.size() == 1) {
    return;
  }
  const pq::Result rows = connection.exec(
      "SELECT attrelid, attnum, attname, atttypid, atttypmod FROM pg_attribute "
      "WHERE attrelid = ANY ($1::oid[]) AND attnum > 0 AND NOT attisdropped",
      {unseen + "}"}, "look at the columns of the tables");
  for (int row = 0; row < rows.rows(); ++row) {
    ColumnDescription column;
    column.name = rows.text(row, 2);
    column.type_oid = static_cast<std::uint32_t>(rows.integer(row, 3));
    column.type_modifier = static_cast<std::int32_t>(rows.integer(row, 4));
    seen.remember(static_cast<std::uint32_t>(rows.integer(row, 0)),
                  static_cast<std::uint32_t>(rows.integer(row, 1)), column);
  }
}

}  // namespace headgate::source::postgres
