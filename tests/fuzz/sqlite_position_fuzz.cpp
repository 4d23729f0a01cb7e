// The row of headgate_positions, into which a person or another program may have written.
//
// The input is lines: position, history, and the rest is the time of the last change.

#include "base/error.hpp"
#include "fuzz_target.hpp"
#include "sink/sqlite/position_table.hpp"

namespace headgate::fuzz {
namespace {

using db::sqlite::Connection;
using db::sqlite::Statement;
using sink::sqlite::PositionTable;

class Database {
 public:
  Database()
      : connection_(":memory:"),
        positions_((PositionTable::create(connection_), connection_), "shop", "copy"),
        write_(connection_,
               "INSERT OR REPLACE INTO headgate_positions(pipeline, sink, position, history, epoch,"
               " updated_at) VALUES ('shop', 'copy', ?1, ?2, 7, ?3)",
               "write") {}

  void write(const std::string& position, const std::string& history, std::string_view changed) {
    write_.bind_text_copy(1, position);
    write_.bind_text_copy(2, history);
    write_.bind_text_copy(3, changed);
    write_.run();
  }

  PositionTable& positions() { return positions_; }

 private:
  Connection connection_;
  PositionTable positions_;
  Statement write_;
};

}  // namespace

HEADGATE_FUZZ_TARGET(sqlite_position) {
  static Database database;
  InputReader lines(input);
  const std::string position = lines.line();
  const std::string history = lines.line();
  const std::string changed(lines.rest());
  database.write(position, history, changed);
  PositionTable& positions = database.positions();
  try {
    const auto row = positions.read();
    require(row && row->epoch == 7 && row->updated_at == changed, "the row is read whole");
    require(row->position.history.text == history, "the history is read whole");
    const CommitMark mark{row->position, WallTime{}};
    require(positions.touch(row->updated_at, row->epoch, WallTime{}), "the row is still ours");
    require(positions.read()->updated_at != changed, "touching changes it");
    require(positions.move(mark, row->epoch, WallTime{}), "the row is still ours");
    require(positions.read()->position == row->position, "a position reads back");
  } catch (const Error& error) {
    require(error.kind() == ErrorKind::kOperator, "what is no position is a person's concern");
  }
}

}  // namespace headgate::fuzz
