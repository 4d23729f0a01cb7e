#include "db/odbc/handle.hpp"

#include <cstdint>

#include "base/error.hpp"

namespace headgate::odbc {

Environment::Environment() {
  SQLHANDLE handle = SQL_NULL_HANDLE;
  if (!SQL_SUCCEEDED(SQLAllocHandle(SQL_HANDLE_ENV, SQL_NULL_HANDLE, &handle))) {
    throw Error{ErrorKind::kSystemic, "cannot set up ODBC: no memory"};
  }
  handle_ = Handle<SQL_HANDLE_ENV>(handle);
  // An attribute's number travels as a pointer.
  const auto version = reinterpret_cast<SQLPOINTER>(std::uintptr_t{SQL_OV_ODBC3});
  if (!SQL_SUCCEEDED(SQLSetEnvAttr(handle, SQL_ATTR_ODBC_VERSION, version, 0))) {
    throw Error{ErrorKind::kOperator,
                "cannot set up ODBC: the driver manager does not know ODBC 3"};
  }
}

ConnectionHandle::ConnectionHandle(const Environment& environment) {
  SQLHANDLE handle = SQL_NULL_HANDLE;
  if (!SQL_SUCCEEDED(SQLAllocHandle(SQL_HANDLE_DBC, environment.get(), &handle))) {
    throw Error{ErrorKind::kSystemic, "cannot set up an ODBC connection: no memory"};
  }
  handle_ = Handle<SQL_HANDLE_DBC>(handle);
}

ConnectionHandle::~ConnectionHandle() {
  if (!connected_) {
    return;
  }
  // With a transaction open, ODBC refuses to disconnect (25000).
  if (!SQL_SUCCEEDED(SQLDisconnect(handle_.get()))) {
    SQLEndTran(SQL_HANDLE_DBC, handle_.get(), SQL_ROLLBACK);
    SQLDisconnect(handle_.get());
  }
}

}  // namespace headgate::odbc
