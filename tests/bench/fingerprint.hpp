// Tells whether two databases hold the same rows, quickly enough to ask after every run.

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace headgate::bench {

// Of one table: how many rows, and a sum over hashes of all their values as text. The order of the
// rows does not matter.
struct Fingerprint {
  std::uint64_t rows = 0;
  std::uint64_t sum = 0;

  // `line`: all values of one row, each as the servers print it (COPY's text format).
  void add(std::string_view line);

  friend bool operator==(const Fingerprint&, const Fingerprint&) = default;
};

// By table, without a schema.
using Fingerprints = std::map<std::string, Fingerprint>;

// The columns of each table of schema public, in their order: what the reads below ask for.
using TableColumns = std::map<std::string, std::vector<std::string>>;
TableColumns columns_of(const std::string& conninfo);

// Throws PgError or std::runtime_error when a table cannot be read.
Fingerprints postgres_fingerprints(const std::string& conninfo, const TableColumns& tables);
Fingerprints sqlite_fingerprints(const std::string& path, const TableColumns& tables);

// Empty when the two agree; else which tables do not, and how.
std::string differences(const Fingerprints& source, const Fingerprints& sink);

}  // namespace headgate::bench
