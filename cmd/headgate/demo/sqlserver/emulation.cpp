#include "demo/sqlserver/emulation.hpp"

#include <chrono>

#include "base/error.hpp"
#include "db/odbc/driver_registry.hpp"
#include "demo/sqlserver/order_tables.hpp"
#include "support/sqlserver_double/sqlserver_double.hpp"

namespace headgate::demo::sqlserver {

namespace {

constexpr const char* kDriver = "FreeTDS";

// A server's capture job looks every five seconds; nobody who watches wants to wait so long.
constexpr std::chrono::milliseconds kCaptureLag{50};
constexpr std::chrono::milliseconds kIdleRows{200};

// Far longer than the mirror is ever behind; shorter than the three days of a server, since
// everything is held in memory.
constexpr std::chrono::minutes kRetention{2};

}  // namespace

Emulation::Emulation() {
  if (odbc::SystemDriverRegistry().of_driver(kDriver, "Driver").empty()) {
    throw Error{ErrorKind::kOperator,
                "the SQL Server demo needs FreeTDS's ODBC driver, which is not registered in "
                "odbcinst.ini",
                "install the Debian package tdsodbc: apt-get install tdsodbc"};
  }
  server_ = std::make_unique<test::SqlServerDouble>();
  server_->execute("ALTER DATABASE shop SET READ_COMMITTED_SNAPSHOT ON");
  server_->set_capture(test::CaptureMode::kAutomatic, kCaptureLag);
  server_->set_idle_rows(kIdleRows);
  server_->execute(order_tables_script());
  // The pipeline begins behind what is captured, so that has to be something.
  server_->capture();
  server_->write_idle_row();
}

Emulation::~Emulation() = default;

std::string Emulation::connection_string() const {
  return server_->connection_string(kDriver);
}

int Emulation::port() const {
  return server_->port();
}

bool Emulation::all_captured() const {
  return server_->uncaptured() == 0;
}

void Emulation::clean_up() {
  server_->forget_statements();
  server_->cleanup(kRetention);
}

}  // namespace headgate::demo::sqlserver
