// Options of a SQLite sink. Plain values; config/ fills them.

#pragma once

#include <cstddef>
#include <string>

namespace headgate::sink::sqlite {

struct Options {
  std::string pipeline;
  std::string name;  // the sink's, in the configuration
  std::string path;  // of the database file; its folder must exist

  // What the database's page cache may take; of the pipeline's memory.
  std::size_t cache_bytes = std::size_t{64} * 1024 * 1024;
};

}  // namespace headgate::sink::sqlite
