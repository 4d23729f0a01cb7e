#include "fingerprint.hpp"

#include <memory>
#include <optional>
#include <stdexcept>

#include <fmt/format.h>
#include <libpq-fe.h>
#include <sqlite3.h>

#include "demo/pg_session.hpp"

namespace headgate::bench {

namespace {

std::string list_of(const std::vector<std::string>& columns) {
  std::string list;
  for (const std::string& column : columns) {
    list += (list.empty() ? "" : ", ") + demo::quote_identifier(column);
  }
  return list;
}

// A connection of our own: PgSession has no COPY.
class CopyOut {
 public:
  explicit CopyOut(const std::string& conninfo) : connection_(PQconnectdb(conninfo.c_str())) {
    run("SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET bytea_output = 'hex'", PGRES_COMMAND_OK);
  }

  Fingerprint table(const std::string& name, const std::vector<std::string>& columns) {
    run(fmt::format("COPY (SELECT {} FROM public.{}) TO STDOUT", list_of(columns),
                    demo::quote_identifier(name)),
        PGRES_COPY_OUT);
    Fingerprint found;
    char* buffer = nullptr;
    int size = 0;
    while ((size = PQgetCopyData(connection_.get(), &buffer, 0)) > 0) {
      const std::unique_ptr<char, FreeMemory> row(buffer);
      found.add({buffer, static_cast<std::size_t>(size) - 1});  // without the end of line
    }
    const Result end(PQgetResult(connection_.get()));
    if (size != -1 || PQresultStatus(end.get()) != PGRES_COMMAND_OK) {
      fail();
    }
    while (const Result more{PQgetResult(connection_.get())}) {
    }
    return found;
  }

 private:
  struct Finish {
    void operator()(PGconn* connection) const { PQfinish(connection); }
  };
  struct Clear {
    void operator()(PGresult* result) const { PQclear(result); }
  };
  struct FreeMemory {
    void operator()(char* memory) const { PQfreemem(memory); }
  };
  using Result = std::unique_ptr<PGresult, Clear>;

  void run(const std::string& sql, ExecStatusType wanted) {
    const Result result(PQexec(connection_.get(), sql.c_str()));
    if (PQresultStatus(result.get()) != wanted) {
      fail();
    }
  }
  [[noreturn]] void fail() const { throw std::runtime_error(PQerrorMessage(connection_.get())); }

  std::unique_ptr<PGconn, Finish> connection_;
};

struct CloseSqlite {
  void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};

// As COPY prints a value; the text format escapes backslashes and white space.
void append_copy_text(std::string& line, std::string_view value) {
  for (const char c : value) {
    switch (c) {
      case '\\':
        line += "\\\\";
        break;
      case '\t':
        line += "\\t";
        break;
      case '\n':
        line += "\\n";
        break;
      case '\r':
        line += "\\r";
        break;
      default:
        line += c;
    }
  }
}

Fingerprint sqlite_table(sqlite3* database, const std::string& name,
                         const std::vector<std::string>& columns) {
  const std::string sql =
      fmt::format("SELECT {} FROM {}", list_of(columns), demo::quote_identifier(name));
  sqlite3_stmt* raw = nullptr;
  if (sqlite3_prepare_v2(database, sql.c_str(), -1, &raw, nullptr) != SQLITE_OK) {
    throw std::runtime_error(sqlite3_errmsg(database));
  }
  const std::unique_ptr<sqlite3_stmt, CloseSqlite> statement(raw);
  Fingerprint found;
  std::string line;
  int result = SQLITE_ROW;
  while ((result = sqlite3_step(raw)) == SQLITE_ROW) {
    line.clear();
    for (int column = 0; column < sqlite3_column_count(raw); ++column) {
      line += column == 0 ? "" : "\t";
      if (sqlite3_column_type(raw, column) == SQLITE_NULL) {
        line += "\\N";
        continue;
      }
      const void* bytes = sqlite3_column_blob(raw, column);
      const auto size = static_cast<std::size_t>(sqlite3_column_bytes(raw, column));
      append_copy_text(line, {static_cast<const char*>(bytes), size});
    }
    found.add(line);
  }
  if (result != SQLITE_DONE) {
    throw std::runtime_error(sqlite3_errmsg(database));
  }
  return found;
}

}  // namespace

// FNV-1a over eight bytes at a time, and a final mix, so that sums of similar rows do not collide.
void Fingerprint::add(std::string_view line) {
  constexpr std::uint64_t kPrime = 0x100000001b3;
  std::uint64_t hash = 0xcbf29ce484222325 ^ line.size();
  for (std::size_t at = 0; at < line.size();) {
    const std::size_t count = std::min<std::size_t>(8, line.size() - at);
    std::uint64_t word = 0;
    line.copy(static_cast<char*>(static_cast<void*>(&word)), count, at);
    hash = (hash ^ word) * kPrime;
    hash ^= hash >> 29;
    at += count;
  }
  hash *= 0x9e3779b97f4a7c15;
  sum += hash ^ (hash >> 32);
  ++rows;
}

TableColumns columns_of(const std::string& conninfo) {
  TableColumns tables;
  demo::PgSession session(conninfo);
  for (const demo::TextRow& row : session.query(
           "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
           "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 "
           "AND NOT a.attisdropped AND c.relname NOT LIKE 'headgate\\_%' "
           "ORDER BY c.relname, a.attnum")) {
    tables[row[0].value()].push_back(row[1].value());
  }
  return tables;
}

Fingerprints postgres_fingerprints(const std::string& conninfo, const TableColumns& tables) {
  CopyOut copy(conninfo);
  Fingerprints found;
  for (const auto& [name, columns] : tables) {
    found[name] = copy.table(name, columns);
  }
  return found;
}

Fingerprints sqlite_fingerprints(const std::string& path, const TableColumns& tables) {
  sqlite3* raw = nullptr;
  const int result = sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE, nullptr);
  const std::unique_ptr<sqlite3, CloseSqlite> database(raw);
  if (result != SQLITE_OK) {
    throw std::runtime_error(path + ": " + sqlite3_errmsg(raw));
  }
  Fingerprints found;
  for (const auto& [name, columns] : tables) {
    found[name] = sqlite_table(raw, name, columns);
  }
  return found;
}

std::string differences(const Fingerprints& source, const Fingerprints& sink) {
  std::string text;
  for (const auto& [table, wanted] : source) {
    const auto found = sink.find(table);
    if (found == sink.end()) {
      text += fmt::format("table {} is missing; ", table);
    } else if (found->second.rows != wanted.rows) {
      text += fmt::format("table {} has {} rows and the source {}; ", table, found->second.rows,
                          wanted.rows);
    } else if (found->second != wanted) {
      text += fmt::format("table {} has other values than the source; ", table);
    }
  }
  return text;
}

}  // namespace headgate::bench
