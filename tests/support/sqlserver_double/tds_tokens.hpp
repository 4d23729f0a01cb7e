// The tokens of a reply.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "support/sqlserver_double/database.hpp"
#include "support/sqlserver_double/sql_error.hpp"
#include "support/sqlserver_double/tds_types.hpp"

namespace headgate::test::sqlserver {

enum class DoneToken : std::uint8_t { kDone = 0xFD, kProcedure = 0xFE, kInProcedure = 0xFF };

struct Done {
  DoneToken token = DoneToken::kDone;
  bool more = false;
  bool error = false;
  bool attention = false;
  std::optional<std::int64_t> count;
  bool is_select = false;
};

void put_done(std::string& bytes, const Done& done);
void put_metadata(std::string& bytes, const std::vector<RowsetColumn>& columns);
// With many NULLs in the compressed form that servers use (NBCROW).
void put_row(std::string& bytes, const std::vector<RowsetColumn>& columns, const Row& row,
             const ChunkRules& chunks);
// An ERROR token; severities up to 10 as INFO unless `as_error`.
void put_message(std::string& bytes, const SqlError& error, const std::string& server,
                 bool as_error);
void put_environment(std::string& bytes, int kind, const std::string& now,
                     const std::string& before);
// Kinds 7 to 10, whose values are bytes.
void put_binary_environment(std::string& bytes, int kind, const std::string& now,
                            const std::string& before);
void put_login_acknowledgement(std::string& bytes, int major_version);
void put_return_status(std::string& bytes, std::int32_t status);
void put_return_value(std::string& bytes, const std::string& name, std::int32_t value);

}  // namespace headgate::test::sqlserver
