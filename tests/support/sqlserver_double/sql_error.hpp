// What the double answers when a SQL Server would refuse: number, severity, state and text.

#pragma once

#include <stdexcept>
#include <string>

namespace headgate::test::sqlserver {

class SqlError : public std::runtime_error {
 public:
  SqlError(int number, const std::string& message, int severity = 16, int state = 1)
      : std::runtime_error(message), number_(number), severity_(severity), state_(state) {}

  int number() const { return number_; }
  int severity() const { return severity_; }
  int state() const { return state_; }

  // Whether the rest of the batch is not run, and whether the open transaction is rolled back too;
  // other errors end their statement only (unless XACT_ABORT is on).
  bool ends_batch() const;
  bool ends_transaction() const;

 private:
  int number_;
  int severity_;
  int state_;
};

// 102, with the text at which the double's own understanding of T-SQL ended: a statement that it
// does not know must be seen, never skipped.
SqlError syntax_error(const std::string& near);
SqlError invalid_object(const std::string& name);       // 208
SqlError invalid_column(const std::string& name);       // 207
SqlError arithmetic_overflow(const std::string& type);  // 8115

}  // namespace headgate::test::sqlserver
