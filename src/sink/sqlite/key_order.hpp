// Rows in the order in which SQLite keeps their keys.

#pragma once

#include <vector>

#include "core/schema.hpp"
#include "core/value.hpp"

namespace headgate::sink::sqlite {

// Sorts `rows` by the key of `output`. Only for speed: neighbouring keys share pages, and random
// ones cost a page each (a factor of 20 was measured on large tables). So an order that differs
// from SQLite's own for some type is no mistake.
//
// REQUIRES: `output` has a key and every row all its columns.
void sort_by_key(std::vector<Row>& rows, const TableSchema& output);

}  // namespace headgate::sink::sqlite
