// What the catalog says of our two publications, read once for all that is asked of them.

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/schema.hpp"
#include "db/pq/connection.hpp"

namespace headgate::source::postgres {

// A table as the publications publish it.
struct PublishedTable {
  std::uint32_t oid = 0;
  TableName name;
  std::vector<std::string> columns;  // a column list; empty: all
  std::string row_filter;            // SQL condition; empty: all rows
};

// A row of pg_publication, and its tables.
struct Publication {
  bool found = false;
  bool inserts = false;
  bool updates = false;
  bool deletes = false;
  bool truncates = false;  // PostgreSQL 10 publishes none, and has no such option
  bool via_root = false;   // partitions are published as their root; 13 and later
  bool all_tables = false;
  bool owned = false;  // this user may alter it
  std::string owner;
  std::map<std::uint32_t, PublishedTable> tables;  // by OID

  bool holds(std::uint32_t oid) const { return tables.contains(oid); }
};

// `<publication>` and `<publication>_append`.
struct Publications {
  std::string name;
  Publication main;
  Publication append;

  // What they publish of a table; null when neither does. (Two different lists of its columns are
  // refused at the start, check_published().)
  const PublishedTable* find(std::uint32_t oid) const;
};

// The publication of the tables without a usable replica identity.
std::string append_name(const std::string& name);

Publications read_publications(pq::Connection& connection, const std::string& name);

// The names to ask pgoutput for: those of the two that exist.
std::vector<std::string> publication_names(pq::Connection& connection, const std::string& name);

// Whether every column that the publications send of tables `oids` has a binary form that can be
// printed again (core/value_text.hpp). REQUIRES: PostgreSQL 14 or later.
bool sends_binary_text(pq::Connection& connection, const std::string& name,
                       const std::vector<std::uint32_t>& oids);

}  // namespace headgate::source::postgres
