// Options of a PostgreSQL sink. Plain values; config/ fills them.

#pragma once

#include <chrono>
#include <string>

#include "base/clock.hpp"

namespace headgate::sink::postgres {

struct Options {
  std::string pipeline;
  std::string name;      // the sink's, in the configuration
  std::string conninfo;  // libpq connection string or URI, without the password
  std::string password;  // from password_file; empty: libpq's own ways

  // The schema of headgate_positions and the other tables of our own.
  std::string own_schema = "public";

  // The replication origin that marks what is written here, so that another pipeline that reads
  // this database can leave it out (`source.origin: none`); empty: none. Created where it is
  // missing.
  std::string replication_origin;

  // The session of a peer that died in the middle of a transaction ends after this time, and with
  // it its locks. Not while a COPY is open: the server takes that for work, and only the end of the
  // connection, or a person, ends it.
  Duration idle_in_transaction_timeout = std::chrono::seconds(60);
  Duration lock_timeout = std::chrono::seconds(30);
};

}  // namespace headgate::sink::postgres
