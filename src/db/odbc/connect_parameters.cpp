#include "db/odbc/connect_parameters.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "base/error.hpp"

namespace headgate::odbc {
namespace {

constexpr const char* kDefaultDriver = "FreeTDS";

// What FreeTDS 1.3 reads from a connection string and we pass on (its odbc.h, ODBC_PARAM_LIST).
constexpr std::array kFreeTdsKeywords = {"Driver",
                                         "DSN",
                                         "Servername",
                                         "Server",
                                         "Port",
                                         "Database",
                                         "UID",
                                         "PWD",
                                         "APP",
                                         "WSID",
                                         "Language",
                                         "Realm",
                                         "ServerSPN",
                                         "AttachDbFilename",
                                         "PacketSize",
                                         "Encryption",
                                         "DumpFile",
                                         "DumpFileAppend",
                                         "DebugFlags",
                                         "Trusted_Connection",
                                         "ClientCharset",
                                         "UseNTLMv2",
                                         "ApplicationIntent",
                                         "TDS_Version",
                                         "MARS_Connection"};

// Known words in the wrong place, and what to write.
struct Misplaced {
  const char* keyword;
  const char* hint;
};

constexpr std::array kNotForFreeTds = {
    Misplaced{"Encrypt", "write Encryption=require (encrypted), request or off"},
    Misplaced{
        "TrustServerCertificate",
        "it verifies no certificate unless a section of freetds.conf has \"ca file\": leave it "
        "out and name that section with Servername, or use Microsoft's driver"},
    Misplaced{"HostNameInCertificate",
              "set \"check certificate hostname\" in freetds.conf, and "
              "name its section with Servername"},
    Misplaced{"MultiSubnetFailover",
              "it tries the addresses of a name one after the other; leave "
              "it out, or use Microsoft's driver"},
    Misplaced{"Address", "write Server=host"},
    Misplaced{"Addr", "write Server=host"},
    Misplaced{"User", "write UID=name"},
    Misplaced{"Password", "write PWD, or better name a file that holds it: password_file"},
    Misplaced{"Authentication", "use Microsoft's driver for Entra ID"},
    Misplaced{"TextSize", "Headgate sets it, so that no value is cut"},
    Misplaced{"Timeout", "Headgate sets the time-outs of its statements itself"},
    Misplaced{"ConnectRetryCount", "leave it out"},
    Misplaced{"ConnectRetryInterval", "leave it out"},
    Misplaced{"KeepAlive", "leave it out: the driver looks after a silent server by itself"},
};

constexpr std::array kNotForMicrosoft = {
    Misplaced{"Port", "write Server=host,port"},
    Misplaced{"Encryption", "write Encrypt=yes, no or strict"},
    Misplaced{"Servername", "write Server=host,port"},
    Misplaced{"TDS_Version", "leave it out"},
    Misplaced{"ClientCharset", "leave it out"},
    Misplaced{"User", "write UID=name"},
    Misplaced{"Password", "write PWD, or better name a file that holds it: password_file"},
};

// With any driver: these would have the driver manager read, or write, a file that holds a
// password.
constexpr std::array kNeverUsed = {
    Misplaced{"FILEDSN", "write what the file holds"},
    Misplaced{"SAVEFILE", "leave it out"},
};

template <std::size_t N>
const Misplaced* find_misplaced(const std::array<Misplaced, N>& list, std::string_view keyword) {
  const auto found = std::find_if(list.begin(), list.end(), [&](const Misplaced& entry) {
    return same_keyword(entry.keyword, keyword);
  });
  return found == list.end() ? nullptr : found;
}

bool is_yes(std::string_view value) {
  return same_keyword(value, "yes") || same_keyword(value, "true") || value == "1";
}

bool is_one_of(std::string_view value, std::initializer_list<std::string_view> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return same_keyword(word, value); });
}

bool is_port(std::string_view text) {
  int port = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), port);
  return failure == std::errc{} && end == text.data() + text.size() && port > 0 && port < 65536;
}

}  // namespace

ConnectParameters::ConnectParameters(const ConnectOptions& options, const DriverRegistry& registry)
    : role_(options.role), registry_(registry), string_(options.connection_string, options.role) {
  find_driver();
  if (!options.password.empty()) {
    string_.set("PWD", options.password);
  }
  for (const auto& [keyword, value] : string_.attributes()) {
    if (const Misplaced* never = find_misplaced(kNeverUsed, keyword)) {
      refuse(fmt::format("{} is not allowed in the connection string", never->keyword),
             never->hint);
    }
  }
  if (driver_ == DriverKind::kFreeTds) {
    complete_freetds(options);
  } else if (driver_ == DriverKind::kMicrosoft) {
    complete_microsoft(options);
  }
  std::string culprit;
  const auto text = string_.render(
      driver_ == DriverKind::kFreeTds ? BraceRule::kFreeTds : BraceRule::kStandard, &culprit);
  if (!text) {
    refuse(fmt::format("FreeTDS cannot be given the value of {}", culprit),
           "it has no way to write a value with a } that also holds a ; or begins with a {: choose "
           "another");
  }
  text_ = *text;
}

std::string ConnectParameters::effective(const std::string& keyword) const {
  if (const std::string* given = string_.find(keyword)) {
    return *given;
  }
  return data_source_.empty() ? std::string() : registry_.of_data_source(data_source_, keyword);
}

void ConnectParameters::set_default(const std::string& keyword, const std::string& value) {
  if (effective(keyword).empty()) {
    string_.set(keyword, value);
  }
}

void ConnectParameters::refuse(const std::string& what, const std::string& hint) const {
  throw Error{ErrorKind::kOperator, fmt::format("{}: {}", role_, what), hint};
}

void ConnectParameters::find_driver() {
  const std::string* data_source = string_.find("DSN");
  if (data_source != nullptr && string_.has("Driver")) {
    refuse("the connection string has both Driver and DSN", "write one of them");
  }
  std::string name;
  if (data_source != nullptr) {
    data_source_ = *data_source;
    name = registry_.of_data_source(data_source_, "Driver");
    if (name.empty()) {
      refuse("odbc.ini has no data source of the name that DSN has in the connection string",
             "correct it, or write Driver=…;Server=… in its place");
    }
  } else {
    string_.set_default("Driver", kDefaultDriver);
    name = *string_.find("Driver");
  }
  std::string library = name;
  if (name.find('/') == std::string::npos) {
    library = registry_.of_driver(name, "Driver");
    if (library.empty()) {
      refuse(fmt::format("no ODBC driver is registered under the name \"{}\"", name),
             same_keyword(name, kDefaultDriver)
                 ? "install the package tdsodbc, or correct /etc/odbcinst.ini"
                 : "`odbcinst -q -d` lists those of /etc/odbcinst.ini");
    }
    // All connections of the process would then wait for one another's statements.
    if (registry_.of_driver(name, "Threading") == "3") {
      refuse(fmt::format("the ODBC driver \"{}\" is registered with Threading = 3", name),
             "take that line out of odbcinst.ini: it lets one statement run at a time");
    }
  }
  driver_ = kind_of_library(library);
}

void ConnectParameters::check_login(bool has_password) const {
  const bool trusted = is_yes(effective("Trusted_Connection"));
  const std::string user = effective("UID");
  if (trusted && (!user.empty() || has_password)) {
    refuse("the connection string has Trusted_Connection and a user or password as well",
           "leave out one of them");
  }
  if (!trusted && user.empty() && effective("Authentication").empty()) {
    refuse("the connection string names no user",
           "write UID=name, or Trusted_Connection=yes for Kerberos");
  }
  if (is_yes(effective("MARS_Connection"))) {
    refuse("MARS_Connection is not supported",
           "leave it out: a connection has one result at a time");
  }
}

void ConnectParameters::check_intent() const {
  const std::string intent = effective("ApplicationIntent");
  if (!intent.empty() && !is_one_of(intent, {"ReadOnly", "ReadWrite"})) {
    refuse("ApplicationIntent has an unknown value", "write ReadOnly or ReadWrite");
  }
}

void ConnectParameters::check_freetds_server() const {
  const std::string server = effective("Server");
  const std::string section = effective("Servername");
  if (!data_source_.empty() && (string_.has("Server") || string_.has("Servername"))) {
    refuse("the connection string has DSN and a server as well", "write one of them");
  }
  if (!server.empty() && !section.empty()) {
    refuse("the connection string has both Server and Servername",
           "Server is an address, Servername a section of freetds.conf: write one of them");
  }
  if (server.empty() && section.empty()) {
    refuse("the connection string names no server", "write Server=host;Port=1433");
  }
  if (server.find(':') != std::string::npos && server.starts_with("tcp")) {
    refuse("FreeTDS does not know \"tcp:\" before a server's name", "write Server=host;Port=1433");
  }
  const std::string port = effective("Port");
  const bool names_port = server.find_first_of(",\\") != std::string::npos;
  if (!port.empty() && names_port) {
    refuse("the connection string has Port, and Server has a port or an instance as well",
           "write Server=host;Port=1433, or Server=host\\instance alone");
  }
  const std::size_t comma = server.find(',');
  const std::string number = comma == std::string::npos ? port : server.substr(comma + 1);
  if ((!number.empty() || comma != std::string::npos) && !is_port(number)) {
    refuse("the port in the connection string is not a number from 1 to 65535", "");
  }
}

void ConnectParameters::complete_freetds(const ConnectOptions& options) {
  int part = 0;
  for (const auto& [keyword, value] : string_.attributes()) {
    ++part;
    if (const Misplaced* misplaced = find_misplaced(kNotForFreeTds, keyword)) {
      refuse(fmt::format("FreeTDS does not know {}, or Headgate sets it", misplaced->keyword),
             misplaced->hint);
    }
    // Not named: it may be a piece of a password that holds a semicolon.
    if (std::none_of(kFreeTdsKeywords.begin(), kFreeTdsKeywords.end(),
                     [&](const char* known) { return same_keyword(known, keyword); })) {
      refuse(fmt::format("FreeTDS does not know the keyword of part {} of the connection string, "
                         "and would ignore it",
                         part),
             "correct or remove it; a value that holds a semicolon goes in braces");
    }
  }
  check_freetds_server();
  check_login(string_.has("PWD"));
  check_intent();

  const std::string charset = effective("ClientCharset");
  if (!charset.empty() && !is_one_of(charset, {"UTF-8", "UTF8"})) {
    refuse("ClientCharset must be UTF-8", "leave it out: every other one loses characters");
  }
  string_.set("ClientCharset", "UTF-8");
  const std::string version = effective("TDS_Version");
  if (!version.empty() && !is_one_of(version, {"7.3", "7.4"})) {
    refuse("TDS_Version must be 7.4 (or 7.3)",
           "leave it out: earlier versions do not carry all types");
  }
  set_default("TDS_Version", "7.4");
  const std::string encryption = effective("Encryption");
  if (!encryption.empty() && !is_one_of(encryption, {"off", "request", "require", "strict"})) {
    refuse("Encryption has an unknown value", "write require, request or off");
  }
  // The driver's own default sends everything but the login in clear text, and that too where the
  // server has no TLS.
  set_default("Encryption", "require");
  set_default("APP", options.application_name);
  if (options.read_only_intent) {
    set_default("ApplicationIntent", "ReadOnly");
  }
}

void ConnectParameters::complete_microsoft(const ConnectOptions& options) {
  for (const auto& [keyword, value] : string_.attributes()) {
    if (const Misplaced* misplaced = find_misplaced(kNotForMicrosoft, keyword)) {
      refuse(fmt::format("Microsoft's driver does not know {}", misplaced->keyword),
             misplaced->hint);
    }
  }
  if (effective("Server").empty() && effective("Address").empty()) {
    refuse("the connection string names no server", "write Server=host,1433");
  }
  check_login(string_.has("PWD"));
  check_intent();
  // It would print numbers and dates by the locale of the process.
  if (is_yes(effective("Regional"))) {
    refuse("Regional=yes is not supported", "leave it out: it changes how values are written");
  }
  // The driver would reconnect by itself, and the session's locks and settings were gone unnoticed.
  const std::string retries = effective("ConnectRetryCount");
  if (!retries.empty() && retries != "0") {
    refuse("ConnectRetryCount must be 0", "leave it out: Headgate reconnects by itself");
  }
  string_.set("ConnectRetryCount", "0");
  set_default("Encrypt", "yes");
  set_default("APP", options.application_name);
  if (options.read_only_intent) {
    set_default("ApplicationIntent", "ReadOnly");
  }
}

}  // namespace headgate::odbc
