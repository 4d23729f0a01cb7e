// One process at a time writes to a SQLite sink: the liveness half of fencing.

#pragma once

#include <string>

namespace headgate::sink::sqlite {

// Holds an exclusive flock(2) on a file for as long as it lives. The kernel gives it up when the
// process dies, however it dies. The file is never deleted: a waiting process could then lock a
// file that no longer has the name. It says who holds the lock, for people.
//
// This only makes a second process wait. What keeps two from both writing, should the lock not
// work, is the epoch in headgate_positions.
class SessionLock {
 public:
  // Throws Error{kTransient} that names the holder's process id when another process, or another
  // sink of this one, holds it; Error{kOperator} when the file cannot be opened.
  explicit SessionLock(const std::string& path);
  ~SessionLock();
  SessionLock(const SessionLock&) = delete;
  SessionLock& operator=(const SessionLock&) = delete;

 private:
  int file_;
};

}  // namespace headgate::sink::sqlite
