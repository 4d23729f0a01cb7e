// ODBC's handles, each owned by one object.

#pragma once

#include <utility>

#include <sql.h>
#include <sqlext.h>

namespace headgate::odbc {

// Owns an ODBC handle of one type and frees it. Whatever it was allocated from must outlive it.
template <SQLSMALLINT Type>
class Handle {
 public:
  Handle() = default;
  explicit Handle(SQLHANDLE handle) : handle_(handle) {}
  Handle(Handle&& other) noexcept : handle_(std::exchange(other.handle_, SQL_NULL_HANDLE)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Handle() {
    if (handle_ != SQL_NULL_HANDLE) {
      SQLFreeHandle(Type, handle_);
    }
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  SQLHANDLE get() const { return handle_; }

 private:
  SQLHANDLE handle_ = SQL_NULL_HANDLE;
};

using StatementHandle = Handle<SQL_HANDLE_STMT>;

// An environment of ODBC 3. Safe to share between threads, and cheap enough that each connection
// has its own. Throws Error{kSystemic} when there is no memory.
class Environment {
 public:
  Environment();
  SQLHANDLE get() const { return handle_.get(); }

 private:
  Handle<SQL_HANDLE_ENV> handle_;
};

// A connection's handle, connected or not; disconnects when it goes. What is open in a transaction
// is rolled back by the server.
class ConnectionHandle {
 public:
  explicit ConnectionHandle(const Environment& environment);
  ~ConnectionHandle();
  ConnectionHandle(const ConnectionHandle&) = delete;
  ConnectionHandle& operator=(const ConnectionHandle&) = delete;

  SQLHANDLE get() const { return handle_.get(); }
  // Tells that SQLDriverConnect succeeded.
  void set_connected() { connected_ = true; }

 private:
  Handle<SQL_HANDLE_DBC> handle_;
  bool connected_ = false;
};

}  // namespace headgate::odbc
