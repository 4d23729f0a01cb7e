// Options of a SQLite sink. Plain values; config/ fills them.

#pragma once

#include <string>

namespace headgate::sink::sqlite {

struct Options {
  std::string pipeline;
  std::string name;  // the sink's, in the configuration
  std::string path;  // of the database file; its folder must exist
};

}  // namespace headgate::sink::sqlite
