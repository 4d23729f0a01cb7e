#include <algorithm>
#include <cctype>
#include <optional>

#include <fmt/format.h>

#include "config/identifiers.hpp"
#include "config/not_available.hpp"
#include "config/postgres_login.hpp"
#include "config/secret_file.hpp"
#include "config/sections.hpp"
#include "config/units.hpp"

namespace headgate::config {
namespace {

// headgate_NAME for a slot or publication; empty when the pipeline's own name is no good.
std::string default_name(const Config& config) {
  if (config.pipeline.empty()) {
    return {};
  }
  std::string name = "headgate_" + config.pipeline;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

std::string read_slot(const Section& source, const Config& config) {
  const auto slot = source.text("slot");
  if (!slot) {
    return default_name(config);
  }
  if (const std::string problem = slot_name_problem(slot->value); !problem.empty()) {
    source.fail("slot", fmt::format("{} {}", slot->shown, problem));
  }
  return slot->value;
}

std::string read_publication(const Section& source, const Config& config) {
  const auto publication = source.text("publication");
  if (publication) {
    if (const auto problem = publication_name_problem(publication->value); !problem.empty()) {
      source.fail("publication", fmt::format("{} {}", publication->shown, problem));
    }
    return publication->value;
  }
  // A pipeline's name may be one byte too long for this.
  const std::string name = default_name(config);
  if (!name.empty() && !publication_name_problem(name).empty()) {
    source.fail("publication",
                fmt::format("its default, {}, {}", name, publication_name_problem(name)),
                "choose a shorter one, or a shorter pipeline name");
  }
  return name;
}

// logical_decoding_work_mem, in PostgreSQL's own notation: there kB and MB are multiples of 1024,
// and GUC units may also be written as in our other sizes.
std::optional<std::string> read_decoding_work_mem(const Section& source) {
  const auto text = source.text("decoding_work_mem");
  if (!text) {
    return std::nullopt;
  }
  std::string size = text->value;
  const bool server_notation = size.ends_with("kB") || size.ends_with("MB") || size.ends_with("GB");
  if (server_notation) {
    size.pop_back();
    size += "iB";
  }
  const bool has_unit = size.ends_with("iB");
  const auto bytes = parse_size(size);
  if (!has_unit || !bytes) {
    source.fail(
        "decoding_work_mem",
        fmt::format("{} is not a size as PostgreSQL takes it: a whole number with kB, MB or "
                    "GB, such as 256MB",
                    text->shown));
    return std::nullopt;
  }
  constexpr std::uint64_t kKilobytesMin = 64;  // both from guc_tables.c
  constexpr std::uint64_t kKilobytesMax = 2147483647;
  if (*bytes / 1024 < kKilobytesMin || *bytes / 1024 > kKilobytesMax) {
    source.fail("decoding_work_mem", fmt::format("{} is not from 64kB to 2047GB", text->shown));
    return std::nullopt;
  }
  return fmt::format("{}kB", *bytes / 1024);
}

// Of which server's or system's list it is a name is looked at where they can be asked.
std::string read_time_zone(const Section& source) {
  const auto zone = source.text("time_zone");
  if (!zone || zone->value == "server") {
    return {};
  }
  constexpr std::size_t kLengthMax = 128;  // sysname's
  const bool sound =
      zone->value.size() <= kLengthMax &&
      std::all_of(zone->value.begin(), zone->value.end(), [](unsigned char c) {
        return std::isalnum(c) != 0 ||
               std::string_view(" /_-+.()").find(static_cast<char>(c)) != std::string_view::npos;
      });
  if (!sound) {
    source.fail("time_zone", fmt::format("{} is no name of a time zone", zone->shown),
                "as the server has it (W. Europe Standard Time) or as IANA (Europe/Berlin); null "
                "is what the server says itself");
    return {};
  }
  return zone->value;
}

// Sessions that we open at a server for one pipeline.
constexpr std::uint64_t kReadersMax = 32;

// The connection string is ODBC's own affair, and is looked at where the driver is known.
void read_sqlserver(const Section& source, Config& config) {
  for (const std::string_view key :
       {"mode", "slot", "publication", "decoding_work_mem", "origin", "streaming"}) {
    if (source.has(key)) {
      source.fail(key, "applies to postgres sources only", "leave the key out");
    }
  }
  source::sqlserver::Options options;
  options.query_mode = source.choice("query_mode", "direct", {"direct", "functions"}) == "functions"
                           ? source::sqlserver::QueryMode::kFunctions
                           : source::sqlserver::QueryMode::kDirect;
  options.readers =
      static_cast<std::size_t>(source.number("readers", options.readers, {1, kReadersMax}));
  options.time_zone = read_time_zone(source);
  if (const auto dsn = source.required_text("dsn")) {
    options.connection_string = dsn->value;
  }
  options.password = read_secret_file(source, "password_file").value_or("");
  config.sqlserver = std::move(options);
}

}  // namespace

void read_source(const Section& root, Config& config) {
  const Section source = root.required_section("source");
  const auto type = source.required_choice("type", {"postgres", "sqlserver"});
  if (type == "sqlserver") {
    read_sqlserver(source, config);
    return;
  }
  only_default_choice(source, "mode", "logical", {"logical", "change_tables"});
  if (source.choice("query_mode", "direct", {"direct", "functions"}) != "direct") {
    source.fail("query_mode", "applies to sqlserver sources only", "leave the key out");
  }
  if (source.number("readers", 1, {1, kReadersMax}) != 1) {
    source.fail("readers", "applies to sqlserver sources only", "leave the key out");
  }
  if (source.has("time_zone")) {
    source.fail("time_zone", "applies to sqlserver sources only",
                "leave the key out, or write null");
  }
  config.source.slot = read_slot(source, config);
  config.source.publication = read_publication(source, config);
  config.source.decoding_work_mem = read_decoding_work_mem(source);
  config.source.local_changes_only = source.choice("origin", "any", {"any", "none"}) == "none";
  config.source.streaming = source.choice("streaming", "on", {"on", "off"}) == "on";
  PostgresLogin login = read_postgres_login(source);
  config.source.conninfo = std::move(login.conninfo);
  config.source.password = std::move(login.password);
}

}  // namespace headgate::config
