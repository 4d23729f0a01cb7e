// What the source's server and our user's rights on it must allow, for the checks at start.
//
// Each function asks one thing and changes nothing. A finding says what is wrong and what mends it,
// in the words of the service that the server belongs to where that is known.

#pragma once

#include <string>

#include "db/pq/connection.hpp"
#include "pipeline/finding.hpp"

namespace headgate::source::postgres {

// It passes when the standby is promoted, so the daemon waits.
Finding standby_finding();

// What the checks need to know, asked at once.
struct ServerFacts {
  std::string version;
  bool in_recovery = false;
  std::string wal_level;
  // Versions that have effective_wal_level switch logical decoding on with the first slot.
  bool decodes_on_demand = false;
  std::string encoding;
  std::string database;  // the OID of the one that `connection` is connected to
};

// REQUIRES: PostgreSQL 10 or later.
ServerFacts read_server(pq::Connection& connection);

// wal_level, or what takes its place in later versions.
Finding check_wal_level(pq::Connection& connection, const ServerFacts& server);

// Why the server, which accepts an ordinary session of ours, has refused `error` for one that
// replicates: the right, the number of walsenders, or something between here and there.
Finding replication_refused(pq::Connection& connection, const Error& error);

// Whether `needed` more replication slots can be made; no finding when they can.
Findings check_free_slots(pq::Connection& connection, int needed);

// Text that is in no encoding, and defects of this minor version that lose rows.
Findings check_database_and_version(int server_version, const ServerFacts& server);

// The first minor version of each line that publishes all rows of a table that is added to a
// publication while transactions write to it; nothing when `server_version` has it. "15.14", or
// "a supported version" for a line that never got it.
std::string add_table_fix(int server_version);

}  // namespace headgate::source::postgres
