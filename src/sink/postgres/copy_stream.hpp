// COPY … FROM STDIN into one table, row by row.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/value.hpp"
#include "db/pq/connection.hpp"
#include "pipeline/sink_operation.hpp"
#include "sink/postgres/target_table.hpp"

namespace headgate::sink::postgres {

// In COPY's binary format as long as every value has the bytes for it, in its text format from the
// first that has not. Nothing is sent before the first row, and then some 64 KiB at a time.
//
// While rows are put, the connection takes no other statement: whichever comes first ends the COPY
// as failed. A destructor ends nothing; the transaction's end does.
//
// Not thread-safe. All calls may throw what the server refuses.
class CopyStream {
 public:
  // `first` stands before COPY, in the same message; with a semicolon. Connection and config must
  // outlive the stream.
  CopyStream(pq::Connection& connection, const SinkConfig& config, const TargetTable& table,
             std::string_view first = {});

  // A row without kUnchanged values, which is not needed any more once this returns.
  void put(Row row);

  // Waits until the server has all rows, and returns how many.
  std::int64_t finish();

  // Sent so far. What the server refuses shows in finish() only: until then it takes, and forgets,
  // whatever comes.
  std::size_t bytes() const { return bytes_; }

 private:
  bool fits_binary(Row row) const;
  void begin(bool binary, std::string_view first);
  void end();
  void send();
  void put_binary(Row row);
  void put_text(Row row);

  pq::Connection& connection_;
  const SinkConfig& config_;
  std::string first_;
  std::string target_;  // `table (columns)`
  std::string doing_;   // for messages
  std::vector<bool> same_type_;
  std::vector<bool> text_is_binary_;  // per column: its text is its binary form, too
  bool begun_ = false;
  bool binary_ = true;
  std::string buffer_;
  std::size_t bytes_ = 0;
  std::int64_t rows_ = 0;  // of COPYs that are done
};

}  // namespace headgate::sink::postgres
