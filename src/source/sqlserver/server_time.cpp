#include "source/sqlserver/server_time.hpp"

#include <chrono>

#include <fmt/format.h>

#include "db/odbc/statement.hpp"
#include "source/sqlserver/capture_instances.hpp"

namespace headgate::source::sqlserver {
namespace {

// The name of 2022, when CURRENT_TIMEZONE_ID() came.
constexpr int kNamesItsZone = 16;

std::string first_text(odbc::Connection& connection, const std::string& sql) {
  odbc::Statement rows(connection, "ask for the server's time zone");
  rows.execute(sql);
  std::string text;
  if (rows.next() && !rows.is_null(0)) {
    text = rows.text(0);
    rows.drain();
  }
  return text;
}

std::string zone_of_server(odbc::Connection& connection, const ServerFacts& server) {
  const bool names_it = server.is_box_product()
                            ? server.major() >= kNamesItsZone
                            : server.is_azure_database() || server.is_managed_instance();
  return names_it ? first_text(connection, "SELECT CURRENT_TIMEZONE_ID()") : std::string();
}

}  // namespace

ServerTime ServerTime::find(odbc::Connection& connection, const ServerFacts& server,
                            const std::string& configured) {
  ServerTime time;
  const std::string wanted = configured.empty() ? zone_of_server(connection, server) : configured;
  if (wanted.empty()) {
    return time;
  }
  time.zone_ =
      first_text(connection, "SELECT name FROM sys.time_zone_info WHERE name = " + literal(wanted));
  if (!time.zone_.empty()) {
    return time;
  }
  time.file_ = ZoneFile::load(wanted);
  if (time.file_) {
    time.zone_ = wanted;
  } else if (!configured.empty()) {
    throw Error{
        ErrorKind::kOperator,
        fmt::format("source.time_zone: neither the server nor this system knows a time zone "
                    "\"{}\"",
                    configured),
        "a name of SELECT name FROM sys.time_zone_info, or one like Europe/Berlin (which "
        "needs the package tzdata)"};
  }
  return time;
}

std::string ServerTime::milliseconds_of(const std::string& datetime) const {
  // In milliseconds, which hold datetime's 1/300 s apart.
  const std::string local = fmt::format("CONVERT(datetime2(3), {})", datetime);
  const std::string since =
      "DATEDIFF_BIG(millisecond, CONVERT(datetime2(3), '1970-01-01T00:00:00'), ";
  if (file_) {
    return since + local + ")";
  }
  if (knows_zone()) {
    return fmt::format("{}CONVERT(datetime2(3), {} AT TIME ZONE {} AT TIME ZONE N'UTC'))", since,
                       local, literal(zone_));
  }
  return fmt::format("{}DATEADD(minute, -DATEPART(tzoffset, SYSDATETIMEOFFSET()), {}))", since,
                     local);
}

WallTime ServerTime::to_utc(std::int64_t milliseconds) const {
  if (file_) {
    const auto second =
        std::chrono::floor<std::chrono::seconds>(std::chrono::milliseconds(milliseconds)).count();
    milliseconds += 1000 * (file_->utc_of(second) - second);
  }
  return WallTime{std::chrono::milliseconds(milliseconds)};
}

Finding check_time(odbc::Connection& connection, const ServerTime& time, bool configured) {
  if (!time.knows_zone()) {
    return Finding::warning(
        "source: this version of the server does not name its time zone: commit times are taken to "
        "UTC by its present offset, an hour off across a change of summer time",
        "set source.time_zone, to UTC or as Europe/Berlin or W. Europe Standard Time");
  }
  odbc::Statement rows(connection, "compare the server's clock with its time zone");
  rows.execute(fmt::format(
      "SELECT {}, DATEDIFF_BIG(millisecond, CONVERT(datetime2(3), '1970-01-01T00:00:00'), "
      "SYSUTCDATETIME())",
      time.milliseconds_of("SYSDATETIME()")));
  if (rows.next()) {
    const WallTime understood = time.to_utc(rows.integer(0));
    const WallTime is{std::chrono::milliseconds(rows.integer(1))};
    rows.drain();
    const auto off = std::chrono::abs(understood - is);
    if (off > std::chrono::minutes(1)) {
      return Finding::warning(
          fmt::format("source: the server's clock does not stand in {}: now it is {} off",
                      time.zone(), in_words(std::chrono::duration_cast<seconds>(off))),
          "correct source.time_zone (within the hour that autumn repeats this may be said for "
          "nothing)");
    }
  }
  return Finding::ok(fmt::format("source: commit times are of time zone {}{}", time.zone(),
                                 configured ? "" : ", as the server says"));
}

}  // namespace headgate::source::sqlserver
