#include "source/sqlserver/copy_view.hpp"

#include <cstdint>
#include <utility>

#include "base/error.hpp"
#include "source/sqlserver/log_window.hpp"

namespace headgate::source::sqlserver {
namespace {

constexpr std::int32_t kSnapshotsNotAllowed = 3952;

// As `error`, which a read in a snapshot has thrown.
[[noreturn]] void refuse(const odbc::OdbcError& error) {
  if (!error.has(kSnapshotsNotAllowed)) {
    throw error;
  }
  throw SnapshotsNotAllowed(error.what());
}

}  // namespace

SnapshotsNotAllowed::SnapshotsNotAllowed(const std::string& message)
    : Error(ErrorKind::kOperator, message,
            "ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON") {}

void CopyView::connect() {
  if (connection_ && !connection_->lost()) {
    return;
  }
  connection_.reset();
  odbc::ConnectOptions options = session_options(session_.options());
  options.settings.emplace_back("SET TRANSACTION ISOLATION LEVEL SNAPSHOT");
  auto connection = std::make_unique<odbc::Connection>(options);
  try {
    if (read_history(*connection) != session_.history()) {
      throw Error{ErrorKind::kReread, "source: a further connection leads to another database"};
    }
  } catch (const odbc::OdbcError& error) {
    refuse(error);
  }
  connection_ = std::move(connection);
}

void CopyView::begin() {
  try {
    connection_->execute("BEGIN TRANSACTION", "begin a copy point");
    open_ = true;
    captured_to(*connection_);  // any read of data pins the view; BEGIN does not
  } catch (const odbc::OdbcError& error) {
    refuse(error);
  }
  connection_->execute("SAVE TRANSACTION headgate_copy_point", "mark a copy point");
}

void CopyView::end() noexcept {
  if (!std::exchange(open_, false) || !connection_) {
    return;
  }
  try {
    if (!connection_->lost()) {
      connection_->execute("IF @@TRANCOUNT > 0 ROLLBACK", "end a copy point");
      return;
    }
  } catch (const Error&) {
    // The connection's end ends the transaction, too.
  }
  connection_.reset();
}

}  // namespace headgate::source::sqlserver
