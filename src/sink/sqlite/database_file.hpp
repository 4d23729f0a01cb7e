// Is this a place where a SQLite database in WAL mode can live?

#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace headgate::sink::sqlite {

// The name of a network file system by its magic number in statfs(2), or nothing. WAL mode needs
// memory shared between all that open the file, and POSIX locks that work: over a network neither
// is sure, and the loss is silent.
std::optional<std::string_view> network_file_system(unsigned long magic);

// `path` without symbolic links, so that two names of one file take the same lock.
//
// Throws Error{kOperator} when its folder is missing, not writable or on a network file system, or
// when something else than a file lies there.
std::string check_database_place(const std::string& path);

}  // namespace headgate::sink::sqlite
