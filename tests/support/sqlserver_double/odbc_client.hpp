// A few lines of ODBC for the double's own tests: what a driver sees, all values as text.

#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace headgate::test {

struct OdbcDiagnostic {
  std::string state;
  int native = 0;
  std::string text;
};

// Carries all diagnostic records.
class OdbcFailure : public std::runtime_error {
 public:
  explicit OdbcFailure(std::vector<OdbcDiagnostic> given);

  bool has(int native) const;
  const std::vector<OdbcDiagnostic> records;
};

struct OdbcResult {
  std::vector<std::string> columns;
  std::vector<int> types;  // as SQLDescribeCol gives them
  std::vector<std::vector<std::optional<std::string>>> rows;
  std::optional<long> count;  // of a statement without a result
};

// Not thread-safe but for cancel().
class OdbcClient {
 public:
  // Throws OdbcFailure.
  explicit OdbcClient(const std::string& connection_string, bool autocommit = true);
  ~OdbcClient();
  OdbcClient(const OdbcClient&) = delete;
  OdbcClient& operator=(const OdbcClient&) = delete;

  // All results of a batch, drained. Binary comes as hexadecimal digits.
  std::vector<OdbcResult> run(const std::string& sql);
  // With `?` bound to texts, or to binaries where `binary` says so; prepared and executed `times`
  // times by one handle.
  std::vector<OdbcResult> run_bound(const std::string& sql, const std::vector<std::string>& values,
                                    bool binary = false, int times = 1);
  // Of a statement that is prepared and not executed.
  std::vector<std::string> columns_of(const std::string& sql);
  // The first value of the first row; "NULL" for NULL.
  std::string value(const std::string& sql);
  // The values of the rows of the last result, joined by commas and semicolons.
  std::string table(const std::string& sql);

  void set_query_timeout(unsigned seconds) { timeout_ = seconds; }
  void end_transaction(bool commit);
  // Ends the statement that runs in another thread.
  void cancel();
  bool is_dead() const;

 private:
  void check(int code, short handle_type, void* handle);
  std::vector<OdbcResult> drain();
  OdbcResult fetch_all(int columns);
  std::optional<std::string> cell(int column, int type);
  void new_statement();

  void* environment_ = nullptr;
  void* connection_ = nullptr;
  void* statement_ = nullptr;
  unsigned timeout_ = 0;
};

}  // namespace headgate::test
