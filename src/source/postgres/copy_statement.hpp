// The statements that read a table's rows for a copy.

#pragma once

#include <string>
#include <vector>

#include "db/pq/connection.hpp"
#include "source/postgres/session.hpp"

namespace headgate::source::postgres {

// Part of a table: `key` > after (empty: from the start), `key` <= up_to (empty: to the end), as
// the server compares them. Values of a key as the server prints them.
struct KeyRange {
  std::vector<std::string> after;
  std::vector<std::string> up_to;
  std::vector<std::vector<std::string>> keys;  // not empty: these rows alone
};

// COPY of the rows of `range`, in the key's order where there is one. `binary`: every column has a
// binary form that each sink can read; otherwise the server prints all of them, so that a row is of
// one kind.
std::string copy_statement(const pq::Connection& connection, const Session::CopyTable& table,
                           bool binary, const KeyRange& range = {});

// The key of the row `count` rows behind `after`; no row where fewer are left.
// REQUIRES: the table has a key.
std::string bound_statement(const pq::Connection& connection, const Session::CopyTable& table,
                            const std::vector<std::string>& after, std::size_t count);

}  // namespace headgate::source::postgres
