// Which column of the catalog a column of the stream is.
//
// A Relation message gives a table's columns as they were at that point of the log, by name and
// without their numbers (attnum); the catalog gives the numbers, but as the table is *now*. What is
// known: both stand in the order of their numbers, and a number is never used again.

#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/schema.hpp"
#include "db/pq/connection.hpp"
#include "source/postgres/catalog.hpp"

namespace headgate::source::postgres {

// A row of pg_attribute.
struct Attribute {
  std::uint32_t number = 0;
  std::string name;      // of a dropped one: no longer known
  bool dropped = false;  // then the type is no longer known either
  bool generated = false;
  std::uint32_t type_oid = 0;
  std::int32_t type_modifier = -1;
  // The stream describes it as it is now, wherever it stands: what altered it last was finished
  // before all that the slot can still send.
  bool settled = false;
  bool unlisted = false;  // a publication has a list of columns without it
  ColumnFill fill;
};

// What was seen of tables before, in the catalog or in the stream: the columns' names and types at
// that time, by number. Not thread-safe.
class SeenColumns {
 public:
  // True when attribute `number` of table `oid` was seen as `column`.
  bool had(std::uint32_t oid, std::uint32_t number, const ColumnDescription& column) const;
  // True when the table, or that attribute of it, was seen at all.
  bool knows(std::uint32_t oid) const { return tables_.contains(oid); }
  bool knows(std::uint32_t oid, std::uint32_t number) const;
  void remember(std::uint32_t oid, std::uint32_t number, const ColumnDescription& column);

  // The table's storage was looked at: rewriting the table gives it another one, and takes the
  // values away that older rows had in new columns.
  void saw_storage(std::uint32_t oid, std::uint32_t filenode, std::uint32_t columns_to);
  // True when the table was not rewritten since attribute `number` came.
  bool kept_storage(std::uint32_t oid, std::uint32_t number, std::uint32_t filenode) const;
  // Partitions of table `oid`, all of whose storages were looked at and are to be noted with its
  // own.
  void saw_partitions(std::uint32_t oid, std::set<std::uint32_t> partitions);
  // For TableSchema::source_note, and back.
  std::string storage_note(std::uint32_t oid) const;
  void recall_storage(std::uint32_t oid, const std::string& note);

  // What sinks remember of the table, from before this process.
  void recall(const TableSchema& table);

 private:
  struct Seen {
    std::string name;
    std::uint32_t type_oid;
    std::int32_t type_modifier;
  };
  std::map<std::uint32_t, std::map<std::uint32_t, Seen>> tables_;

  // The oldest look at the present storage, and the newest attribute at that time.
  struct Storage {
    std::uint32_t filenode = 0;
    std::uint32_t columns_to = 0;
  };
  std::map<std::uint32_t, Storage> storages_;
  std::map<std::uint32_t, std::set<std::uint32_t>>
      partitions_;  // by their root; each has a storage
};

// All columns that table `oid` has or had, by number.
std::vector<Attribute> read_attributes(pq::Connection& connection, std::uint32_t oid,
                                       SeenColumns& seen);

// For each of `columns` of table `oid` the attribute that it is; null where the table has been
// altered since in a way that leaves several possibilities, or none. Attributes must outlive the
// result. Remembers in `seen` what it finds.
//
// Where several are possible, that counts which needs the fewest alterations since the description
// (and since the columns were seen), provided that every other way needs at least two more. So it
// is never wrong when no more than one thing has been altered since. Names that went round within a
// few moments can still mislead it; who compares the result with what the sink remembers sees that
// ids do not fit (pipeline/table_alteration.hpp).
std::vector<const Attribute*> identify_columns(std::uint32_t oid,
                                               const std::vector<ColumnDescription>& columns,
                                               const std::vector<Attribute>& attributes,
                                               SeenColumns& seen);

// Looks at the columns of those of the tables that were not seen yet, and at the storages of all.
void look_at_tables(pq::Connection& connection, const std::vector<std::uint32_t>& oids,
                    SeenColumns& seen);

}  // namespace headgate::source::postgres
