#include <map>
#include <string>
#include <utility>

#include <catch2/catch.hpp>

#include "base/error.hpp"
#include "db/odbc/connect_parameters.hpp"

namespace headgate::odbc {
namespace {

// Two drivers and a data source, whatever this machine has.
class FakeRegistry final : public DriverRegistry {
 public:
  std::string of_data_source(const std::string& name, const std::string& key) const override {
    return name == "shop" ? get(data_source, key) : "";
  }
  std::string of_driver(const std::string& name, const std::string& key) const override {
    if (name == "FreeTDS") {
      return key == "Driver" ? "libtdsodbc.so" : key == "Threading" ? freetds_threading : "";
    }
    if (name == "ODBC Driver 18 for SQL Server") {
      return key == "Driver" ? "/opt/lib/libmsodbcsql-18.3.so.3.1" : "";
    }
    return name == "MariaDB" && key == "Driver" ? "libmaodbc.so" : "";
  }

  std::map<std::string, std::string> data_source{{"Driver", "FreeTDS"}, {"Server", "db1"}};
  std::string freetds_threading;

 private:
  static std::string get(const std::map<std::string, std::string>& entries,
                         const std::string& key) {
    const auto found = entries.find(key);
    return found == entries.end() ? "" : found->second;
  }
};

std::string completed(const std::string& text, const FakeRegistry& registry = {},
                      const std::string& password = {}, bool read_only = false) {
  ConnectOptions options;
  options.connection_string = text;
  options.password = password;
  options.role = "source";
  options.read_only_intent = read_only;
  return ConnectParameters(options, registry).text();
}

// What the refusal of `text` says, with its hint.
std::string refusal(const std::string& text, const FakeRegistry& registry = {},
                    const std::string& password = {}) {
  try {
    completed(text, registry, password);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kOperator);
    CHECK(std::string(error.what()).starts_with("source: "));
    return error.describe();
  }
  return "taken";
}

constexpr const char* kMicrosoft = "Driver={ODBC Driver 18 for SQL Server};";

TEST_CASE("a string for FreeTDS is completed with what decides about safety and bytes") {
  CHECK(completed("Server=db1;Database=shop;UID=cdc;PWD=geheim") ==
        "Driver=FreeTDS;Server=db1;Database=shop;UID=cdc;ClientCharset=UTF-8;TDS_Version=7.4;"
        "Encryption=require;APP=headgate;PWD=geheim;");
}

TEST_CASE("what the user says stands") {
  CHECK(completed(" driver = {FreeTDS} ;; SERVER=db1 ; port=1444;uid=cdc;\n tds_version=7.3;"
                  "Encryption=off;APP={my app};ApplicationIntent=ReadWrite;",
                  {}, {}, true) ==
        "driver=FreeTDS;SERVER=db1;port=1444;uid=cdc;tds_version=7.3;Encryption=off;APP=my app;"
        "ApplicationIntent=ReadWrite;ClientCharset=UTF-8;");
}

TEST_CASE("Microsoft's driver is completed in its own words") {
  CHECK(completed(std::string(kMicrosoft) + "Server=tcp:db1,1433;UID=cdc;PWD=x", {}, {}, true) ==
        "Driver=ODBC Driver 18 for SQL Server;Server={tcp:db1,1433};UID=cdc;ConnectRetryCount=0;"
        "Encrypt=yes;APP=headgate;ApplicationIntent=ReadOnly;PWD=x;");
  CHECK(completed(std::string(kMicrosoft) + "Server=db1;UID=cdc;Encrypt=strict;PWD=x")
            .find("Encrypt=strict;") != std::string::npos);
}

TEST_CASE("another driver gets the user's string as it is, and the password") {
  CHECK(completed("Driver=MariaDB;Server=db1;Charset=utf8mb4;UID=a", {}, "x") ==
        "Driver=MariaDB;Server=db1;Charset=utf8mb4;UID=a;PWD=x;");
}

TEST_CASE("the password of its own file wins over the one in the string") {
  CHECK(completed("Server=a;UID=b;PWD=old;", {}, "new").ends_with(";PWD=new;"));
}

TEST_CASE("a data source of odbc.ini keeps what it says, and its driver decides") {
  FakeRegistry registry;
  registry.data_source["Encryption"] = "off";
  registry.data_source["UID"] = "cdc";
  CHECK(completed("DSN=shop;PWD=x", registry) ==
        "DSN=shop;ClientCharset=UTF-8;TDS_Version=7.4;APP=headgate;PWD=x;");
  registry.data_source["Driver"] = "/usr/lib/odbc/libmsodbcsql-18.so";
  registry.data_source.erase("Encryption");
  CHECK(completed("DSN=shop;PWD=x", registry) ==
        "DSN=shop;ConnectRetryCount=0;Encrypt=yes;APP=headgate;PWD=x;");
  registry.data_source["Driver"] = "FreeTDS";
  registry.data_source["TDS_Version"] = "7.0";
  CHECK_THAT(refusal("DSN=shop;PWD=x", registry), Catch::Contains("TDS_Version must be 7.4"));
}

// FreeTDS takes a value in braces up to the first `};` and un-escapes nothing; a bare one up to the
// next semicolon, whatever else is in it.
TEST_CASE("FreeTDS is given every password that it has a way to read") {
  const auto [password, written] = GENERATE(table<std::string, std::string>({
      {"plain", "PWD=plain;"},
      {"a;b", "PWD={a;b};"},
      {"a=b", "PWD=a=b;"},
      {"a}b", "PWD=a}b;"},
      {"}}", "PWD=}};"},
      {"{x", "PWD={{x};"},
      {" blank ", "PWD= blank ;"},
      {";Driver=other", "PWD={;Driver=other};"},
      {"p\xC3\xA4ss", "PWD=p\xC3\xA4ss;"},
  }));
  CHECK(completed("Server=a;UID=b", {}, password).ends_with(written));
}

TEST_CASE("a password that FreeTDS cannot be given is refused and not shown") {
  const std::string password = GENERATE(as<std::string>{}, "a};b", "{a}", "x;y}z=1");
  const std::string text = refusal("Server=a;UID=b", {}, password);
  CHECK_THAT(text, Catch::Contains("cannot be given the value of PWD"));
  CHECK(text.find(password) == std::string::npos);
}

TEST_CASE("a brace in a password is doubled for drivers that keep to the standard") {
  CHECK(completed(std::string(kMicrosoft) + "Server=a;UID=b", {}, "a};b{")
            .ends_with("PWD={a}};b{};"));
  CHECK(completed(std::string(kMicrosoft) + "Server=a;UID=b;PWD={a}};b{}")
            .ends_with("PWD={a}};b{};"));
  CHECK(completed(std::string(kMicrosoft) + "Server=a;UID=b", {}, " a").ends_with("PWD={ a};"));
}

// Whatever is wrong, no piece of the string is shown but keywords that drivers know: what cannot be
// read may well be the second half of a password with a semicolon in it.
TEST_CASE("a string that cannot be read is one clear error without a secret") {
  const auto [text, says] = GENERATE(table<std::string, std::string>({
      {"sqlserver://cdc:geheim@db1", "part 1 of the connection string has no \"=\""},
      {"Server=a;UID=b;PWD=x;geheim", "part 4 of the connection string has no \"=\""},
      {"Server=a;PWD={geheim", "part 2 of the connection string opens a brace"},
      {"Server=a;PWD={x}geheim;UID=b", "part 2 of the connection string goes on behind"},
      {"Server=a;UID=b;=geheim", "part 3 of the connection string has no keyword"},
      {"Server=a;UID=b;PWD=x;pwd=geheim", "part 4 of the connection string repeats"},
      {"Server=a;UID=b;PWD=x;geheim=1", "does not know the keyword of part 4"},
      {std::string("Server=a;PWD=geheim\0;", 21), "holds a NUL byte"},
  }));
  const std::string error = refusal(text);
  CHECK_THAT(error, Catch::Contains(says));
  CHECK(error.find("geheim") == std::string::npos);
}

TEST_CASE("what contradicts itself or would be ignored is refused with what to write") {
  const auto [text, says] = GENERATE(table<std::string, std::string>({
      {"", "names no server"},
      {"UID=a", "names no server"},
      {"Server=a", "names no user"},
      {"Server=a;UID=b;Servername=c", "both Server and Servername"},
      {"Server=a,1433;Port=1433;UID=b", "has Port, and Server has a port"},
      {"Server=a\\SQLEXPRESS;Port=1433;UID=b", "has Port, and Server has a port or an instance"},
      {"Server=a;Port=none;UID=b", "not a number from 1 to 65535"},
      {"Server=a,70000;UID=b", "not a number from 1 to 65535"},
      {"Server=a,;UID=b", "not a number from 1 to 65535"},
      {"Server=tcp:a;UID=b", "does not know \"tcp:\""},
      {"Driver=FreeTDS;DSN=shop;UID=b", "both Driver and DSN"},
      {"DSN=shop;Server=a;UID=b", "DSN and a server"},
      {"DSN=none;UID=b", "odbc.ini has no data source"},
      {"Driver=Oracle;Server=a;UID=b", "no ODBC driver is registered under the name \"Oracle\""},
      {"FILEDSN=/etc/x;UID=b", "FILEDSN is not allowed"},
      {"Server=a;UID=b;SAVEFILE=/tmp/x", "SAVEFILE is not allowed"},
      {"Server=a;UID=b;Trusted_Connection=yes", "Trusted_Connection and a user"},
      {"Server=a;PWD=b;Trusted_Connection=yes", "Trusted_Connection and a user"},
      {"Server=a;UID=b;MARS_Connection=yes", "MARS_Connection is not supported"},
      {"Server=a;UID=b;ApplicationIntent=Read", "ApplicationIntent has an unknown value"},
      {"Server=a;UID=b;ClientCharset=ISO-8859-1", "ClientCharset must be UTF-8"},
      {"Server=a;UID=b;TDS_Version=7.1", "TDS_Version must be 7.4"},
      {"Server=a;UID=b;Encryption=yes", "Encryption has an unknown value"},
      {"Server=a;UID=b;Encrypt=yes", "write Encryption=require"},
      {"Server=a;UID=b;TrustServerCertificate=no", "verifies no certificate"},
      {"Server=a;UID=b;TextSize=100", "so that no value is cut"},
      {"Server=a;UID=b;Timeout=1", "sets the time-outs"},
      {"Server=a;UID=b;MultiSubnetFailover=yes", "one after the other"},
      {"Server=a;UID=b;Password=geheim", "write PWD"},
  }));
  const std::string error = refusal(text);
  CHECK_THAT(error, Catch::Contains(says));
  CHECK(error.find("geheim") == std::string::npos);
}

TEST_CASE("Microsoft's driver is not given FreeTDS's words, nor what hides a lost session") {
  const auto [rest, says] = GENERATE(table<std::string, std::string>({
      {"UID=b", "names no server"},
      {"Server=a", "names no user"},
      {"Server=a;UID=b;Port=1433", "write Server=host,port"},
      {"Server=a;UID=b;Encryption=require", "write Encrypt=yes"},
      {"Server=a;UID=b;TDS_Version=7.4", "does not know TDS_Version"},
      {"Server=a;UID=b;ConnectRetryCount=3", "ConnectRetryCount must be 0"},
      {"Server=a;UID=b;Regional=yes", "Regional=yes is not supported"},
      {"Server=a;UID=b;MARS_Connection=Yes", "MARS_Connection is not supported"},
  }));
  CHECK_THAT(refusal(kMicrosoft + rest), Catch::Contains(says));
  CHECK(refusal(std::string(kMicrosoft) + "Server=a;Authentication=ActiveDirectoryMsi") == "taken");
}

TEST_CASE("a driver that lets one statement run at a time is refused") {
  FakeRegistry registry;
  registry.freetds_threading = "3";
  CHECK_THAT(refusal("Server=a;UID=b", registry), Catch::Contains("Threading = 3"));
}

TEST_CASE("a driver is known by its library, not by the name it is registered under") {
  CHECK(kind_of_library("/usr/lib/x86_64-linux-gnu/odbc/libtdsodbc.so") == DriverKind::kFreeTds);
  CHECK(kind_of_library("/opt/microsoft/msodbcsql18/lib64/libmsodbcsql-18.3.so.2.1") ==
        DriverKind::kMicrosoft);
  CHECK(kind_of_library("libmaodbc.so") == DriverKind::kOther);
}

}  // namespace
}  // namespace headgate::odbc
