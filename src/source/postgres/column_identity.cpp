#include "source/postgres/column_identity.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

namespace headgate::source::postgres {
namespace {

constexpr unsigned kImpossible = std::numeric_limits<unsigned>::max() / 8;

// What must have been altered since for `attribute` to be `column`; a new name counts twice, as it
// is rarer than a new type.
unsigned cost_of_change(const ColumnDescription& column, const Attribute& attribute) {
  const bool same_name = column.name == attribute.name;
  const bool same_type =
      column.type_oid == attribute.type_oid && column.type_modifier == attribute.type_modifier;
  if (attribute.settled) {
    return !attribute.dropped && same_name && same_type ? 0 : kImpossible;
  }
  if (attribute.dropped) {
    return 1;  // dropped since
  }
  if (attribute.generated) {
    return same_name && same_type ? 0 : 16;
  }
  return (same_name ? 0U : 2U) + (same_type ? 0U : 1U);
}

// For `attribute` to be none of the stream's columns, of which `is_last` says that none follows.
unsigned cost_of_absence(const Attribute& attribute, bool is_last, unsigned cost_of_gap) {
  if (attribute.dropped || attribute.generated || attribute.unlisted) {
    return 0;
  }
  if (attribute.settled) {
    return cost_of_gap;
  }
  return is_last ? 1 : cost_of_gap;  // added since; a column after it would have come still later
}

// Least costs of aligning the first i columns with the first j attributes.
class Costs {
 public:
  Costs(std::size_t columns, std::size_t attributes)
      : width_(attributes + 1), cells_((columns + 1) * width_, kImpossible) {}

  unsigned& at(std::size_t column, std::size_t attribute) {
    return cells_[column * width_ + attribute];
  }

 private:
  std::size_t width_;
  std::vector<unsigned> cells_;
};

// Aligns `columns` with `attributes` at the least cost; nothing when there is no way.
std::vector<const Attribute*> align(std::uint32_t oid,
                                    const std::vector<ColumnDescription>& columns,
                                    const std::vector<Attribute>& attributes,
                                    const SeenColumns& seen, unsigned cost_of_gap) {
  const auto cost_of_pair = [&](std::size_t i, std::size_t j) {
    const Attribute& attribute = attributes[j];
    const unsigned cost = cost_of_change(columns[i], attribute);
    if (attribute.settled || !seen.knows(oid, attribute.number)) {
      return cost;
    }
    if (seen.had(oid, attribute.number, columns[i])) {
      return 0U;
    }
    return attribute.dropped ? cost + 1 : cost;  // and another one before that
  };
  const std::size_t n = columns.size();
  const std::size_t m = attributes.size();
  const auto cost_of_skip = [&](std::size_t i, std::size_t j) {
    return cost_of_absence(attributes[j], i == n, cost_of_gap);
  };
  Costs front(n, m);
  Costs back(n, m);  // of the columns from i and the attributes from j on
  front.at(0, 0) = 0;
  for (std::size_t i = 0; i <= n; ++i) {
    for (std::size_t j = (i == 0 ? 1 : i); j <= m; ++j) {
      const unsigned absent = j > i ? front.at(i, j - 1) + cost_of_skip(i, j - 1) : kImpossible;
      const unsigned paired =
          i > 0 ? front.at(i - 1, j - 1) + cost_of_pair(i - 1, j - 1) : kImpossible;
      front.at(i, j) = std::min({absent, paired, kImpossible});
    }
  }
  back.at(n, m) = 0;
  for (std::size_t i = n + 1; i-- > 0;) {
    for (std::size_t j = m; j-- > 0;) {
      const unsigned absent = back.at(i, j + 1) + cost_of_skip(i, j);
      const unsigned paired = i < n ? back.at(i + 1, j + 1) + cost_of_pair(i, j) : kImpossible;
      back.at(i, j) = std::min({absent, paired, kImpossible});
    }
  }

  const unsigned least = front.at(n, m);
  if (least >= kImpossible) {
    return {};
  }
  // One alteration more is no reason to believe the one and not the other.
  const unsigned possible = least + 1;
  std::vector<const Attribute*> found(n, nullptr);
  for (std::size_t i = 0; i < n; ++i) {
    unsigned ways = 0;
    for (std::size_t j = 0; j < m; ++j) {
      if (front.at(i, j) + cost_of_pair(i, j) + back.at(i + 1, j + 1) <= possible) {
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

// The values that rows got in columns added to a partitioned table, by the column's name. They are
// not in the log, and the root has none of its own, so its partitions are asked; whatever became of
// the root's default since.
std::map<std::string, ColumnFill> partitions_fills(pq::Connection& connection, std::uint32_t oid,
                                                   SeenColumns& seen) {
  // Of partitions that still have the storage they were made with, one row for all that are alike.
  const pq::Result rows = connection.exec(
      "WITH RECURSIVE tree AS (SELECT $1::oid AS relid UNION ALL "
      "  SELECT i.inhrelid FROM pg_inherits i JOIN tree t ON t.relid = i.inhparent) "
      "SELECT DISTINCT a.attname, a.atthasmissing, array_to_string(a.attmissingval, ''), "
      "       NOT a.atthasmissing AND (a.atthasdef OR a.attidentity <> '' "
      "                                OR y.typdefault IS NOT NULL), "
      "       moved.oid, moved.relfilenode, moved.attnum, moved.last "
      "FROM tree t JOIN pg_class c ON c.oid = t.relid AND c.relkind = 'r' "
      "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
      "JOIN pg_type y ON y.oid = a.atttypid "
      "LEFT JOIN LATERAL (SELECT c.oid, c.relfilenode, a.attnum, (SELECT max(l.attnum) "
      "  FROM pg_attribute l WHERE l.attrelid = c.oid) AS last WHERE c.relfilenode <> c.oid) moved "
      "  ON true ORDER BY 1",
      {std::to_string(oid)}, "read the columns of partitions");
  const auto number = [&](int row, int column) {
    return static_cast<std::uint32_t>(rows.integer(row, column));
  };
  std::map<std::string, ColumnFill> fills;
  for (int row = 0; row < rows.rows(); ++row) {
    ColumnFill fill;
    if (rows.boolean(row, 1) && !rows.is_null(row, 2)) {
      fill = {ColumnFill::Kind::kText, rows.text(row, 2)};
    } else if (rows.boolean(row, 3) ||
               (!rows.is_null(row, 4) &&
                !seen.kept_storage(number(row, 4), number(row, 6), number(row, 5)))) {
      fill.kind = ColumnFill::Kind::kUnknown;
    }
    const auto [place, first] = fills.try_emplace(rows.text(row, 0), fill);
    if (!first && (place->second.kind != fill.kind || place->second.text != fill.text)) {
      place->second = {ColumnFill::Kind::kUnknown, {}};
    }
  }
  std::set<std::uint32_t> moved;
  for (int row = 0; row < rows.rows(); ++row) {
    if (!rows.is_null(row, 4) && moved.insert(number(row, 4)).second) {
      seen.saw_storage(number(row, 4), number(row, 5), number(row, 7));
    }
  }
  seen.saw_partitions(oid, std::move(moved));
  return fills;
}

}  // namespace

std::vector<Attribute> read_attributes(pq::Connection& connection, std::uint32_t oid,
                                       SeenColumns& seen) {
  // Until 11 a default rewrote the table and left no trace; generated columns came with 12, lists
  // of columns with 15.
  const int version = connection.server_version();
  const bool has_missing = version >= 110000;
  const bool has_generated = version >= 120000;
  const bool has_lists = version >= 150000;
  // A transaction older than catalog_xmin has ended before all that a slot can still send. The
  // oldest slot will do, whichever is ours; without one nothing is settled.
  const pq::Result rows = connection.exec(
      fmt::format(
          "SELECT a.attnum, a.attname, a.attisdropped, {}, a.atttypid, a.atttypmod, {}, {}, "
          "       a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL, "
          "       c.relkind = 'p', "
          "       coalesce(age(a.xmin) > (SELECT max(age(s.catalog_xmin)) "
          "                               FROM pg_replication_slots s), false), {}, "
          "       coalesce(pg_relation_filenode(c.oid), 0) "
          "FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
          "LEFT JOIN pg_type t ON t.oid = a.atttypid "
          "WHERE a.attrelid = $1::oid AND a.attnum > 0 ORDER BY a.attnum",
          has_generated ? "a.attgenerated <> ''" : "false",
          has_missing ? "a.atthasmissing" : "false",
          has_missing ? "array_to_string(a.attmissingval, '')" : "NULL",
          has_lists ? "EXISTS (SELECT 1 FROM pg_publication_rel r WHERE r.prrelid = a.attrelid AND "
                      "r.prattrs IS NOT NULL AND NOT a.attnum = ANY (r.prattrs::int2[]))"
                    : "false"),
      {std::to_string(oid)}, "read the columns of a table");
  std::vector<Attribute> attributes;
  bool partitioned = false;
  for (int row = 0; row < rows.rows(); ++row) {
    Attribute attribute;
    attribute.number = static_cast<std::uint32_t>(rows.integer(row, 0));
    attribute.name = rows.text(row, 1);
    attribute.dropped = rows.boolean(row, 2);
    attribute.generated = rows.boolean(row, 3);
    attribute.type_oid = static_cast<std::uint32_t>(rows.integer(row, 4));
    attribute.type_modifier = static_cast<std::int32_t>(rows.integer(row, 5));
    attribute.settled = rows.boolean(row, 10);
    attribute.unlisted = rows.boolean(row, 11);
    const bool filled_by_itself = rows.boolean(row, 8);
    partitioned = rows.boolean(row, 9);
    // A default that was taken away again, and the values that the table's rewriting took with it,
    // leave no other trace than the new storage.
    const bool rewritten = !seen.kept_storage(oid, attribute.number,
                                              static_cast<std::uint32_t>(rows.integer(row, 12)));
    if (rows.boolean(row, 6) && !rows.is_null(row, 7)) {
      attribute.fill = {ColumnFill::Kind::kText, rows.text(row, 7)};
    } else if ((filled_by_itself || rewritten) && !attribute.dropped) {
      attribute.fill.kind = ColumnFill::Kind::kUnknown;
    }
    attributes.push_back(std::move(attribute));
  }
  if (rows.rows() > 0) {
    seen.saw_storage(oid, static_cast<std::uint32_t>(rows.integer(0, 12)),
                     attributes.back().number);
  }
  if (partitioned && has_missing) {
    const auto fills = partitions_fills(connection, oid, seen);
    for (Attribute& attribute : attributes) {
      const auto found = fills.find(attribute.name);
      attribute.fill = found == fills.end() ? ColumnFill{} : found->second;  // no partition, no row
    }
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
         (found->second.type_oid == 0 || (found->second.type_oid == column.type_oid &&
                                          found->second.type_modifier == column.type_modifier));
}

bool SeenColumns::knows(std::uint32_t oid, std::uint32_t number) const {
  const auto table = tables_.find(oid);
  return table != tables_.end() && table->second.contains(number);
}

void SeenColumns::remember(std::uint32_t oid, std::uint32_t number,
                           const ColumnDescription& column) {
  tables_[oid].insert_or_assign(number, Seen{column.name, column.type_oid, column.type_modifier});
}

void SeenColumns::saw_storage(std::uint32_t oid, std::uint32_t filenode, std::uint32_t columns_to) {
  Storage& storage = storages_[oid];
  if (storage.filenode != filenode) {
    storage = {filenode, columns_to};
  }
}

bool SeenColumns::kept_storage(std::uint32_t oid, std::uint32_t number,
                               std::uint32_t filenode) const {
  if (filenode == 0 || filenode == oid) {
    return true;  // has none (a partitioned table), or still the one that it was made with
  }
  const auto storage = storages_.find(oid);
  return storage != storages_.end() && storage->second.filenode == filenode &&
         storage->second.columns_to < number;
}

void SeenColumns::saw_partitions(std::uint32_t oid, std::set<std::uint32_t> partitions) {
  partitions_.insert_or_assign(oid, std::move(partitions));
}

// File node and newest attribute of the table itself; and, each behind its own OID, of partitions.
std::string SeenColumns::storage_note(std::uint32_t oid) const {
  const auto storage = storages_.find(oid);
  if (storage == storages_.end()) {
    return {};
  }
  std::string note = fmt::format("{} {}", storage->second.filenode, storage->second.columns_to);
  const auto partitions = partitions_.find(oid);
  if (partitions != partitions_.end()) {
    for (const std::uint32_t partition : partitions->second) {
      const Storage& own = storages_.at(partition);
      note += fmt::format(" {} {} {}", partition, own.filenode, own.columns_to);
    }
  }
  return note;
}

void SeenColumns::recall_storage(std::uint32_t oid, const std::string& note) {
  std::vector<std::uint32_t> numbers{oid};
  const char* at = note.data();
  const char* const end = at + note.size();
  while (at < end) {
    const auto parsed = std::from_chars(at, end, numbers.emplace_back());
    if (parsed.ec != std::errc{}) {
      return;
    }
    at = parsed.ptr + (parsed.ptr < end ? 1 : 0);
  }
  for (std::size_t i = 0; i + 3 <= numbers.size(); i += 3) {
    storages_.try_emplace(numbers[i], Storage{numbers[i + 1], numbers[i + 2]});
  }
}

void SeenColumns::recall(const TableSchema& table) {
  recall_storage(table.source_id, table.source_note);
  for (const Column& column : table.columns) {
    if (column.source_id != 0) {
      // Of its type, the base type is all that is remembered, which says too little.
      tables_[table.source_id].try_emplace(column.source_id, Seen{column.name, 0, -1});
    }
  }
}

std::vector<const Attribute*> identify_columns(std::uint32_t oid,
                                               const std::vector<ColumnDescription>& columns,
                                               const std::vector<Attribute>& attributes,
                                               SeenColumns& seen) {
  // A column that was never published may stand between others; that is rare, and only believed
  // when nothing else is possible.
  std::vector<const Attribute*> found = align(oid, columns, attributes, seen, kImpossible);
  if (found.empty()) {
    found = align(oid, columns, attributes, seen, 1);
  }
  found.resize(columns.size(), nullptr);
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (found[i] != nullptr) {
      seen.remember(oid, found[i]->number, columns[i]);
    }
  }
  return found;
}

void look_at_tables(pq::Connection& connection, const std::vector<std::uint32_t>& oids,
                    SeenColumns& seen) {
  std::vector<std::uint32_t> unseen;
  std::copy_if(oids.begin(), oids.end(), std::back_inserter(unseen),
               [&](std::uint32_t oid) { return !seen.knows(oid); });
  if (!unseen.empty()) {
    const pq::Result rows = connection.exec(
        "SELECT attrelid, attnum, attname, atttypid, atttypmod FROM pg_attribute "
        "WHERE attrelid = ANY ($1::oid[]) AND attnum > 0 AND NOT attisdropped",
        {oid_array(unseen)}, "look at the columns of the tables");
    for (int row = 0; row < rows.rows(); ++row) {
      ColumnDescription column;
      column.name = rows.text(row, 2);
      column.type_oid = static_cast<std::uint32_t>(rows.integer(row, 3));
      column.type_modifier = static_cast<std::int32_t>(rows.integer(row, 4));
      seen.remember(static_cast<std::uint32_t>(rows.integer(row, 0)),
                    static_cast<std::uint32_t>(rows.integer(row, 1)), column);
    }
  }
  const pq::Result storages = connection.exec(
      "SELECT c.oid, coalesce(pg_relation_filenode(c.oid), 0), coalesce(max(a.attnum), 0) "
      "FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 "
      "WHERE c.oid = ANY ($1::oid[]) GROUP BY c.oid",
      {oid_array(oids)}, "look at the storages of the tables");
  for (int row = 0; row < storages.rows(); ++row) {
    seen.saw_storage(static_cast<std::uint32_t>(storages.integer(row, 0)),
                     static_cast<std::uint32_t>(storages.integer(row, 1)),
                     static_cast<std::uint32_t>(storages.integer(row, 2)));
  }
}

}  // namespace headgate::source::postgres
