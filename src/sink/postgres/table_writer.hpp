// Writes rows to one table of the sink in a few set-based statements.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "db/pq/connection.hpp"
#include "pipeline/sink_operation.hpp"
#include "sink/postgres/array_parameter.hpp"
#include "sink/postgres/copy_stream.hpp"
#include "sink/postgres/target_table.hpp"

namespace headgate::sink::postgres {

// Each call is one statement however many rows it is given: its parameters are one array per
// column. Statements are prepared once per table and set of columns.
//
// Not thread-safe; belongs to one connection, and dies with it.
class TableWriter {
 public:
  // Keys per statement and rows per statement stay below this, so that one call's parameters stay
  // far from the protocol's limit of 1 GiB and from work memory.
  static constexpr std::size_t kRowsMax = 10000;

  // Fewer rows are not worth the round trips of try_copy().
  static constexpr std::size_t kCopyRowsMin = 500;

  // Once refused, so many calls of try_copy() do not try: what was in the way is likely to have
  // company, and each attempt leaves dead rows behind.
  static constexpr unsigned kCopyRest = 100;

  // `number` makes the names of prepared statements unique. `connection` must outlive the writer.
  TableWriter(pq::Connection& connection, SinkConfigPtr config, TargetTable table, unsigned number);

  const TargetTable& table() const { return table_; }

  // Complete rows of distinct keys: inserted; a row of the same key is written over, or what
  // on_conflict says.
  void upsert(std::span<const Row> rows);

  // Complete rows that are always added.
  void append(std::span<const Row> rows);

  // Rows whose key columns count. Returns how many were there.
  std::int64_t erase(std::span<const Row> rows);

  // Rows of distinct keys that may hold kUnchanged columns, which stay as they are. Returns how
  // many were there.
  std::int64_t update(std::span<const Row> rows);

  // Gives the row under the key of `before` (or of `row` when that is empty) the values of `row`,
  // its key included. Returns whether it was there.
  bool update_one(Row before, Row row);

  // Of a table without a key: exactly one of the rows that equal the old row, as far as the source
  // has sent it.
  bool update_equal(const Sink& update);
  bool erase_equal(const Sink& erase);

  // Removes every row, by DELETE or TRUNCATE as the configuration wants.
  void erase_all();

  // COPY, for complete rows that should not be there: several times quicker than upsert() or
  // append(), with the same effect where it succeeds. False when the server refused it, or did so
  // of late: nothing is written then.
  //
  // REQUIRES: an open transaction; takes_copies(). Throws only what leaves no hope for the
  // transaction.
  bool try_copy(std::span<const Row> rows);

  // COPY, for rows that should not be there, which may go on over several calls: the server works
  // on one portion while the next is made ready. The writer must outlive it.
  std::unique_ptr<CopyStream> open_copy();

  // Whether COPY and INSERT are the same to the table.
  bool takes_copies() const {
    return !table_.needs_source_order && !table_.has_rules &&
           config_->on_conflict == OnConflict::kOverwrite;
  }

 private:
  enum class Verb { kUpsert, kAppend, kUpdate, kDelete, kUpdateEqual, kDeleteEqual };

  // A column of an array parameter: whose value, and under which alias it is unnested.
  struct Part {
    std::size_t column;
    bool of_before;  // from the old row instead of the new one
  };

  bool truncates();
  std::int64_t run(Verb verb, const std::vector<Part>& parts, std::span<const Row> rows,
                   std::span<const Row> before);
  std::string statement(Verb verb, const std::vector<Part>& parts) const;
  std::string insert_statement(const std::vector<Part>& parts) const;
  std::string on_conflict_clause() const;
  std::string unnest(const std::vector<Part>& parts) const;
  using ValueSql = std::string (TableWriter::*)(const Part& part, std::size_t position) const;
  std::string assignments(const std::vector<Part>& parts, ValueSql value) const;
  std::string converted(const Part& part, std::string value) const;
  std::string unnested(const Part& part, std::size_t position) const;
  std::string only_value(const Part& part, std::size_t position) const;
  std::string key_match(const std::vector<Part>& parts) const;
  std::string equal_match(const std::vector<Part>& parts) const;
  void learn_transport(const std::vector<Part>& parts, std::span<const Row> rows,
                       std::span<const Row> before);
  std::vector<Part> all_columns() const;
  std::vector<Part> known_of(Row before, bool key_only) const;

  pq::Connection& connection_;
  SinkConfigPtr config_;
  TargetTable table_;
  unsigned number_;
  std::vector<Transport> transports_;  // per column, as last seen
  unsigned copy_rest_ = 0;             // calls of try_copy() to be let pass
  // By text and parameter types: the name of the prepared statement.
  std::map<std::pair<std::string, std::vector<Oid>>, std::string> prepared_;
};

}  // namespace headgate::sink::postgres
