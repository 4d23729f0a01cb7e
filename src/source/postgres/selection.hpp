// Which tables are captured, and in which of the two publications each belongs.

#pragma once

#include <vector>

#include "pipeline/finding.hpp"
#include "pipeline/table_filter.hpp"
#include "source/postgres/catalog.hpp"
#include "source/postgres/options.hpp"

namespace headgate::source::postgres {

struct Selection {
  std::vector<CatalogTable> keyed;     // inserts, updates and deletes: `<publication>`
  std::vector<CatalogTable> appended;  // no usable identity: `<publication>_append`

  std::vector<const CatalogTable*> all() const;
};

// Without the partitions of tables that `filter` matches, whose rows come as rows of those. Any
// other partition is a table of its own.
std::vector<CatalogTable> without_covered_partitions(const std::vector<CatalogTable>& tables,
                                                     const TableFilter& filter);

// Sorts the tables that `filter` selects. What cannot be captured, or is named and does not exist,
// is added to `findings`.
Selection select_tables(const std::vector<CatalogTable>& tables, const TableFilter& filter,
                        KeylessPolicy keyless, Findings& findings);

}  // namespace headgate::source::postgres
