#include "db/odbc/odbc_error.hpp"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <optional>
#include <string>

#include <fmt/format.h>
#include <sqlext.h>

#include "db/odbc/utf16.hpp"

namespace headgate::odbc {
namespace {

// Where the two drivers tell a record's severity (MS-ODBC's SQL_DIAG_SS_*). FreeTDS 1.3 answers
// with it, in 16 bits, to the field that should be the message's state, and knows no other.
constexpr SQLSMALLINT kFreeTdsSeverity = -1150;
constexpr SQLSMALLINT kMicrosoftSeverity = -1151;

// Numbers up to here are warnings and notices to SQL Server.
constexpr int kNoticeSeverityMax = 10;
// From here on the server is out of something, or the session is ended: not the statement's fault.
constexpr int kServerTroubleSeverityMin = 17;

bool is_one_of(std::int32_t number, std::initializer_list<std::int32_t> list) {
  return std::find(list.begin(), list.end(), number) != list.end();
}

// FreeTDS's own: the session is over.
bool is_freetds_loss(std::int32_t native) {
  return is_one_of(native, {20003,    // time-out whose cancellation was not answered
                            20004,    // read from the server failed
                            20006,    // write to the server failed
                            20009,    // cannot connect
                            20017,    // unexpected end of the stream
                            20020,    // bad token
                            20047});  // connection is dead
}

bool passes_by_itself(std::int32_t native) {
  return is_freetds_loss(native) ||
         is_one_of(native, {20002,      // connection failed while logging in
                            20013}) ||  // unknown host: name services fail too
         // The server's side of a broken or refused connection, start-up and shutdown.
         is_one_of(native, {10053, 10054, 10060, 233, 64, 121, 17197, 17142, 596, 6005}) ||
         // The database is being moved, recovered or throttled (Azure, availability groups).
         is_one_of(native, {40613, 40197, 40501, 49918, 49919, 49920, 4221, 615, 926, 10928, 10929,
                            40143, 40540, 4060, 976, 978, 983, 35250}) ||
         // Locks, row versions, memory grants.
         is_one_of(native, {1205, 1222, 3960, 3961, 601, 701, 8645, 8651});
}

bool is_systemic(std::int32_t native) {
  return is_one_of(native, {1101, 1105, 9002,              // file group or log full
                            823, 824, 825, 605, 845, 802,  // pages and buffers
                            3906});                        // database is read-only
}

bool is_row(std::int32_t native) {
  return native >= 50000 ||                          // RAISERROR and THROW of a trigger
         is_one_of(native, {515,  547,  2601, 2627,  // constraints
                            2628, 8152,              // too long
                            220,  232,  234,  236,  237, 241, 242,  244, 245,
                            248,  8114, 8115, 8134, 517, 535, 8169, 3609});
}

bool is_operator(std::int32_t native) {
  return is_one_of(native, {18456, 18452, 18470, 18486, 18487, 18488,       // login
                            229,   230,   916,   22981, 297,   300,   262,  // rights
                            208,   207,   2812,  4121,                      // no such object
                            313,   22901,                                   // change data capture
                            102,   105,   137,   156,   201,   8144,        // our SQL
                            20214});  // driver's configuration
}

// By what to do about one record; nothing when only its SQLSTATE can tell.
std::optional<ErrorKind> kind_of_number(std::int32_t native) {
  if (passes_by_itself(native)) return ErrorKind::kTransient;
  if (is_systemic(native)) return ErrorKind::kSystemic;
  if (is_operator(native)) return ErrorKind::kOperator;
  if (is_row(native)) return ErrorKind::kRow;
  return std::nullopt;
}

// Nothing for the states that say no more than "it failed".
std::optional<ErrorKind> kind_of_sqlstate(std::string_view sqlstate) {
  const std::string_view group = sqlstate.substr(0, 2);
  if (group == "08" || group == "40" || sqlstate == "HYT00" || sqlstate == "HYT01" ||
      sqlstate == "HY008") {
    return ErrorKind::kTransient;
  }
  if (sqlstate == "HY001" || sqlstate == "HY013") {
    return ErrorKind::kSystemic;
  }
  if (group == "22" || group == "23" || group == "44" || group == "45") {
    return ErrorKind::kRow;
  }
  return std::nullopt;
}

// A known number decides; the other records of the same call only say what followed from it.
std::optional<ErrorKind> first_by_rank(const std::vector<ErrorKind>& kinds) {
  for (const ErrorKind rank :
       {ErrorKind::kTransient, ErrorKind::kSystemic, ErrorKind::kOperator, ErrorKind::kRow}) {
    if (std::find(kinds.begin(), kinds.end(), rank) != kinds.end()) {
      return rank;
    }
  }
  return std::nullopt;
}

// The server's text quotes what was in a row, or is what somebody's trigger made of it.
bool quotes_values(const Diagnostic& record) {
  if (is_one_of(record.native, {515, 547})) {
    return false;  // these name tables, columns and constraints only
  }
  const std::string_view group = std::string_view(record.sqlstate).substr(0, 2);
  return is_row(record.native) || group == "22" || group == "23" || group == "44" || group == "45";
}

std::string value_refusal(const Diagnostic& record) {
  if (is_one_of(record.native, {2601, 2627})) return "a row with the same key is there already";
  if (is_one_of(record.native, {2628, 8152}) || record.sqlstate == "22001") {
    return "a value is too long for its column";
  }
  if (is_one_of(record.native, {220, 232, 8115}) || record.sqlstate == "22003") {
    return "a number is out of its column's range";
  }
  if (is_one_of(record.native, {241, 242, 244, 245, 248, 8114, 8169})) {
    return "a value cannot be read as its column's type";
  }
  if (record.native >= 50000) return "a trigger or procedure raises an error";
  return record.sqlstate.starts_with("23") ? "a constraint refuses a row"
                                           : "the server refuses a value";
}

std::string text_of(const Diagnostic& record) {
  const std::string text = quotes_values(record) ? value_refusal(record) : record.message;
  return record.native != 0
             ? fmt::format("{} (error {}, SQLSTATE {})", text, record.native, record.sqlstate)
             : fmt::format("{} (SQLSTATE {})", text, record.sqlstate);
}

// "Unable to connect to data source" stands behind every login that failed, whatever the reason.
bool says_nothing(const Diagnostic& record) {
  return record.native == 0 && record.sqlstate == "08001";
}

std::string join_texts(const std::vector<Diagnostic>& diagnostics) {
  constexpr std::size_t kTextsMax = 4;
  const bool something_else = std::any_of(diagnostics.begin(), diagnostics.end(),
                                          [](const Diagnostic& r) { return !says_nothing(r); });
  const bool failures = std::any_of(diagnostics.begin(), diagnostics.end(), is_failure);
  std::vector<std::string> texts;
  for (const Diagnostic& record : diagnostics) {
    // Notices are shown only where there is nothing else: they tell what led to a failure at most.
    if ((something_else && says_nothing(record)) || (failures && !is_failure(record))) {
      continue;
    }
    std::string text = text_of(record);
    if (texts.size() < kTextsMax && std::find(texts.begin(), texts.end(), text) == texts.end()) {
      texts.push_back(std::move(text));
    }
  }
  return texts.empty() ? "the driver does not say why" : fmt::format("{}", fmt::join(texts, "; "));
}

std::string hint_of_number(std::int32_t native) {
  switch (native) {
    case 18456:
      return "check UID and the password (password_file)";
    case 4060:
      return "does the database exist, and may this login use it? It may also be failing over";
    case 20009:
      return "is the server running there, and does it listen on this address and port?";
    case 20013:
      return "check the name of the server in the connection string";
    case 20002:
      return "the server closed the connection during the login; if it offers no encryption, write "
             "Encryption=off, which sends data and perhaps passwords in clear text";
    case 20214:
      return "this version of FreeTDS does not know a value of the connection string: Encryption, "
             "say";
    case 229:
    case 230:
    case 262:
    case 297:
    case 300:
    case 916:
    case 22981:
      return "grant the missing right to this login; `headgate check` prints the statements";
    case 9002:
    case 1105:
      return "free space on the server";
    default:
      return {};
  }
}

std::string hint_of(const std::vector<Diagnostic>& diagnostics) {
  // Rarer causes first: a login fails because of the database that it asks for.
  std::string found;
  for (const Diagnostic& record : diagnostics) {
    std::string hint = hint_of_number(record.native);
    if (!hint.empty() && (found.empty() || record.native == 4060)) {
      found = std::move(hint);
    }
    if (record.sqlstate == "IM002") {
      return "`odbcinst -q -d` and `odbcinst -q -s` list drivers and data sources";
    }
    if (record.sqlstate == "HYT00" && found.empty()) {
      found = "does the server answer at all, and is something holding a lock?";
    }
  }
  return found;
}

bool any_sqlstate(const std::vector<Diagnostic>& diagnostics,
                  std::initializer_list<std::string_view> states) {
  return std::any_of(diagnostics.begin(), diagnostics.end(), [&](const Diagnostic& record) {
    return std::find(states.begin(), states.end(), record.sqlstate) != states.end();
  });
}

bool any_loss(const std::vector<Diagnostic>& diagnostics) {
  return any_sqlstate(diagnostics, {"08S01", "08003", "08007"}) ||
         std::any_of(diagnostics.begin(), diagnostics.end(),
                     [](const Diagnostic& record) { return is_freetds_loss(record.native); });
}

// "[FreeTDS][SQL Server]Invalid object name 'x'." without who says it, on one line.
std::string bare_message(std::string text) {
  std::size_t start = 0;
  while (start < text.size() && text[start] == '[') {
    const std::size_t end = text.find(']', start);
    if (end == std::string::npos) {
      break;
    }
    start = end + 1;
  }
  text.erase(0, start);
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  const auto last = text.find_last_not_of(" .");
  text.resize(last == std::string::npos ? 0 : last + 1);
  return text;
}

int read_severity(SQLSMALLINT handle_type, SQLHANDLE handle, SQLSMALLINT record,
                  DriverKind driver) {
  if (driver == DriverKind::kOther) {
    return 0;
  }
  SQLINTEGER severity = 0;
  SQLSMALLINT size = 0;
  const SQLSMALLINT field = driver == DriverKind::kFreeTds ? kFreeTdsSeverity : kMicrosoftSeverity;
  const SQLRETURN code =
      SQLGetDiagField(handle_type, handle, record, field, &severity, SQL_IS_INTEGER, &size);
  const int value = severity & 0xFFFF;
  return SQL_SUCCEEDED(code) && value <= 25 ? value : 0;
}

std::string message_of(const OdbcError::Context& context,
                       const std::vector<Diagnostic>& diagnostics) {
  if (context.cancelled && !context.connection_lost) {
    return fmt::format("{}: cannot {}: cancelled", context.role, context.doing);
  }
  return fmt::format("{}: cannot {}: {}{}", context.role, context.doing,
                     context.connection_lost ? "connection lost: " : "", join_texts(diagnostics));
}

}  // namespace

std::vector<Diagnostic> read_diagnostics(SQLSMALLINT handle_type, SQLHANDLE handle,
                                         DriverKind driver) {
  std::vector<Diagnostic> records;
  std::array<SQLWCHAR, 2048> text{};
  // A bound, for a driver that would answer for ever.
  for (SQLSMALLINT number = 1; number <= 64; ++number) {
    std::array<SQLWCHAR, 6> state{};
    SQLINTEGER native = 0;
    SQLSMALLINT size = 0;
    if (!SQL_SUCCEEDED(SQLGetDiagRecW(handle_type, handle, number, state.data(), &native,
                                      text.data(), static_cast<SQLSMALLINT>(text.size()), &size))) {
      break;
    }
    Diagnostic record;
    record.native = native;
    record.severity = read_severity(handle_type, handle, number, driver);
    for (std::size_t i = 0; i < 5; ++i) {
      record.sqlstate.push_back(static_cast<char>(state[i]));
    }
    const auto units = std::min<std::size_t>(
        static_cast<std::size_t>(std::max<SQLSMALLINT>(size, 0)), text.size() - 1);
    for (std::size_t i = 0; i < units; ++i) {
      const auto unit = static_cast<char16_t>(text[i]);
      std::u16string_view piece(&unit, 1);
      const std::u16string pair{unit, i + 1 < units ? static_cast<char16_t>(text[i + 1]) : u'\0'};
      if (unit >= 0xD800 && unit < 0xDC00 && append_utf8(pair, record.message)) {
        ++i;
      } else if (!append_utf8(piece, record.message)) {
        record.message.push_back('?');  // a text cut by us: for people only
      }
    }
    record.message = bare_message(std::move(record.message));
    records.push_back(std::move(record));
  }
  return records;
}

bool is_failure(const Diagnostic& record) {
  if (record.severity > kNoticeSeverityMax) {
    return true;
  }
  // FreeTDS's own numbers come with 01000 and without a severity; 20xxx is free in SQL Server's.
  if (record.native >= 20000 && record.native < 21000 && record.severity == 0) {
    return true;
  }
  // 01S00: an attribute of the connection string that the driver does not know.
  return !record.sqlstate.starts_with("01") ? !record.sqlstate.starts_with("00")
                                            : record.sqlstate == "01S00";
}

ErrorKind kind_of(const std::vector<Diagnostic>& diagnostics, bool connection_lost) {
  std::vector<ErrorKind> by_number;
  std::vector<ErrorKind> by_state;
  bool server_trouble = false;
  for (const Diagnostic& record : diagnostics) {
    if (const auto kind = kind_of_number(record.native)) {
      by_number.push_back(*kind);
    }
    if (const auto kind = kind_of_sqlstate(record.sqlstate)) {
      by_state.push_back(*kind);
    }
    server_trouble = server_trouble || record.severity >= kServerTroubleSeverityMin;
  }
  if (const auto kind = first_by_rank(by_number)) {
    return *kind;
  }
  if (connection_lost || server_trouble) {
    return ErrorKind::kTransient;
  }
  return first_by_rank(by_state).value_or(ErrorKind::kOperator);
}

OdbcError::OdbcError(const Context& context, std::vector<Diagnostic> diagnostics)
    : Error(context.cancelled
                ? ErrorKind::kTransient
                : odbc::kind_of(diagnostics, context.connection_lost || any_loss(diagnostics)),
            message_of(context, diagnostics), context.cancelled ? "" : hint_of(diagnostics)),
      diagnostics_(std::move(diagnostics)),
      connection_lost_(context.connection_lost || any_loss(diagnostics_)),
      timed_out_(any_sqlstate(diagnostics_, {"HYT00", "HYT01"})),
      cancelled_(context.cancelled) {}

OdbcError::OdbcError(const OdbcError& other, ErrorKind kind, const std::string& hint)
    : Error(kind, other.what(), hint),
      diagnostics_(other.diagnostics_),
      connection_lost_(other.connection_lost_),
      timed_out_(other.timed_out_),
      cancelled_(other.cancelled_) {}

bool OdbcError::has(std::int32_t native) const {
  return std::any_of(diagnostics_.begin(), diagnostics_.end(),
                     [&](const Diagnostic& record) { return record.native == native; });
}

OdbcError OdbcError::of_commit() const {
  // Only an answer of the server is one; our own time-out or a dead socket tells nothing.
  const bool unanswered = connection_lost_ || timed_out_ || cancelled_ ||
                          any_sqlstate(diagnostics_, {"08007", "40003", "HY008"});
  return unanswered ? OdbcError(*this, ErrorKind::kInDoubt, "") : *this;
}

}  // namespace headgate::odbc
