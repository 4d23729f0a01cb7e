#include "source/sqlserver/chunk_reader.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "base/check.hpp"
#include "core/value_text.hpp"
#include "source/sqlserver/change_key.hpp"
#include "source/sqlserver/change_table_reader.hpp"
#include "source/sqlserver/fetched_value.hpp"
#include "source/sqlserver/log_window.hpp"

namespace headgate::source::sqlserver {
namespace {

// While a point is awaited, how often the server is asked.
constexpr Duration kLook = std::chrono::milliseconds(100);

// A chunk whose changes are too much for it is made smaller by this.
constexpr std::size_t kShrink = 16;

constexpr std::int32_t kSnapshotsNotAllowed = 3952;

// Somebody has altered the table since the view was pinned, or holds a lock on it; its capture
// instance was dropped, or cleaned up, between our looks at it. Another point may have it.
bool is_passing(const odbc::OdbcError& error) {
  constexpr std::array<std::int32_t, 4> kPassing{3961, 1222, 208, 313};
  return !error.connection_lost() &&
         std::any_of(kPassing.begin(), kPassing.end(),
                     [&](std::int32_t number) { return error.has(number); });
}

std::string selected(const CapturedColumn& column) {
  return fmt::format(fmt::runtime(column.mapping.expression), quoted(column.name));
}

Value value_of(const CapturedColumn& column, std::string_view bytes) {
  return column.mapping.fetch == odbc::FetchAs::kBytes ? Value::binary(bytes) : Value::text(bytes);
}

std::map<std::uint32_t, TableKey::ColumnFacts> read_facts(odbc::Connection& connection,
                                                          std::int64_t table) {
  odbc::Statement rows(connection, "look at a table's columns");
  rows.execute(
      fmt::format("SELECT column_id, collation_name, CONVERT(int, is_nullable) FROM sys.columns "
                  "WHERE object_id = {}",
                  table));
  std::map<std::uint32_t, TableKey::ColumnFacts> facts;
  while (rows.next()) {
    facts[static_cast<std::uint32_t>(rows.integer(0))] = {rows.text(1), rows.integer(2) != 0};
  }
  return facts;
}

}  // namespace

ChunkReader::ChunkReader(Session& session, const Clock& clock, Logger log)
    : session_(session),
      clock_(clock),
      log_(std::move(log)),
      pages_(
          1, [this]() -> odbc::Connection& { return session_.connection(); }, nullptr) {}

ChunkReader::~ChunkReader() {
  close();
}

void ChunkReader::request_point() {
  release_point();
  from_ = captured_to(session_.connection());
  if (!from_) {
    throw Error{ErrorKind::kTransient, "source: the capture process has never run",
                "start SQL Server Agent and the capture job"};
  }
  asked_ = true;
  next_look_ = clock_.now() + session_.options().commit_settles;
}

std::optional<Position> ChunkReader::point(TimePoint deadline) {
  while (!point_ && asked_) {
    if (const TimePoint look = std::min(next_look_, deadline); look > clock_.now()) {
      std::this_thread::sleep_for(look - clock_.now());
    }
    if (clock_.now() < next_look_) {
      break;
    }
    if (!fence_) {
      pin();
    }
    next_look_ = clock_.now() + kLook;
    if (const auto to = fence_->passed(session_.connection())) {
      point_ = Position{*to, session_.history()};
      tables_.clear();
      asked_ = false;
    }
  }
  return point_;
}

CopySource::Waiting ChunkReader::waiting() const {
  return {false,
          "the capture process has not read the log to where it asked for a copy point, and no "
          "commit behind it is captured",
          "see that the capture job runs and keeps up: headgate check"};
}

void ChunkReader::connect() {
  if (connection_ && !connection_->lost()) {
    return;
  }
  connection_.reset();
  odbc::ConnectOptions options = session_options(session_.options());
  options.settings.emplace_back("SET TRANSACTION ISOLATION LEVEL SNAPSHOT");
  connection_ = std::make_unique<odbc::Connection>(options);
  if (read_history(*connection_) != session_.history()) {
    connection_.reset();
    throw Error{ErrorKind::kReread, "source: a further connection leads to another database"};
  }
}

void ChunkReader::pin() {
  try {
    connect();
    connection_->execute("BEGIN TRANSACTION", "begin a copy point");
    in_view_ = true;
    captured_to(*connection_);  // any read of data pins the view; BEGIN does not
  } catch (const odbc::OdbcError& error) {
    if (!error.has(kSnapshotsNotAllowed)) {
      throw;
    }
    throw Error{ErrorKind::kOperator, error.what(),
                "ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON"};
  }
  fence_ = ScanFence::set(*connection_, session_.connection());
}

std::vector<CopyTable> ChunkReader::tables(const std::set<std::uint32_t>* only) {
  const auto at = point_ ? point_->lsn : captured_to(session_.connection());
  std::vector<CopyTable> list;
  if (!at) {
    return list;
  }
  for (Reading& reading : session_.follow(*at)) {
    if (only == nullptr || only->contains(reading.schema->source_id)) {
      list.push_back({reading.schema, 0, 0});
      std::erase_if(tables_, [&](const Reading& known) {
        return known.schema->source_id == reading.schema->source_id;
      });
      tables_.push_back(std::move(reading));
    }
  }
  add_estimates(list);
  return list;
}

void ChunkReader::add_estimates(std::vector<CopyTable>& tables) {
  odbc::Statement rows(session_.connection(), "estimate the tables");
  // Of the heap or the clustered index.
  rows.execute(
      "SELECT object_id, SUM(rows) FROM sys.partitions WHERE index_id IN (0, 1) GROUP BY "
      "object_id");
  while (rows.next()) {
    for (CopyTable& table : tables) {
      if (table.schema->source_id == rows.integer(0) && !rows.is_null(1)) {
        table.rows_estimate = static_cast<std::uint64_t>(rows.integer(1));
      }
    }
  }
}

std::string ChunkReader::table_name() const {
  const TableName& name = reading_->instance.table;
  return quoted(name.schema) + "." + quoted(name.table);
}

// False where changes behind `from` may be missing in the table's change table.
bool ChunkReader::open(const CopyTable& table) {
  HEADGATE_CHECK(point_.has_value(), "a chunk is read at a copy point");
  const auto found = std::find_if(tables_.begin(), tables_.end(), [&](const Reading& candidate) {
    return candidate.schema->source_id == table.schema->source_id;
  });
  HEADGATE_CHECK(found != tables_.end(), "a chunk is of a table of the point");
  reading_ = &*found;
  doing_ = "copy table " + table.schema->name.to_string();
  next_cursor_.reset();
  wanted_.reset();
  patches_.reset();
  left_out_.clear();
  key_.emplace(reading_->instance,
               read_facts(session_.connection(), reading_->instance.source_table));
  return holds_changes();
}

// The change table has all changes in (from, to], with the columns that we know. Asked behind the
// reading of them, too: clean-up raises the start before it deletes.
bool ChunkReader::holds_changes() {
  const InstanceFloors floors = read_floors(session_.connection());
  const CaptureInstance& instance = reading_->instance;
  const bool holds = std::any_of(floors.begin(), floors.end(), [&](const InstanceFloor& floor) {
    return floor.change_table == instance.change_table && floor.modified == instance.modified &&
           floor.start_lsn && *floor.start_lsn <= increment(*from_);
  });
  if (!holds) {
    log_->info("capture instance is too young or was altered, and its table copied later table={}",
               instance.table.to_string());
  }
  return holds;
}

bool ChunkReader::attempt(const std::function<bool()>& begin) {
  try {
    return begin();
  } catch (const odbc::OdbcError& error) {
    if (!is_passing(error)) {
      throw;
    }
    log_->info("table is altered or locked by others, and copied later table={} error=\"{}\"",
               reading_->instance.table.to_string(), error.what());
    return false;
  }
}

bool ChunkReader::begin_chunk(const CopyTable& table, const std::vector<std::string>& after,
                              std::size_t rows_max) {
  if (!open(table)) {
    return false;
  }
  return attempt([&] {
    return reading_->instance.key.empty() || !key_->comparable() ? begin_reading({})
                                                                 : begin_keyed(after, rows_max);
  });
}

bool ChunkReader::begin_keyed(const std::vector<std::string>& after, std::size_t rows_max) {
  for (std::size_t rows = rows_max;; rows = std::max<std::size_t>(1, rows / kShrink)) {
    KeyRange range{after, {}, {}};
    next_cursor_ = find_bound(range, rows);
    range.up_to = next_cursor_.value_or(KeyText{});
    if (begin_reading(range)) {
      return true;
    }
    if (rows == 1) {
      return false;
    }
  }
}

bool ChunkReader::begin_rows(const CopyTable& table,
                             const std::vector<std::vector<std::string>>& keys) {
  if (!open(table)) {
    return false;
  }
  if (!key_->comparable()) {
    wanted_.emplace(keys.begin(), keys.end());
  }
  return attempt([&] { return begin_reading({{}, {}, wanted_ ? std::vector<KeyText>{} : keys}); });
}

bool ChunkReader::begin_reading(const KeyRange& range) {
  if (!patch(range) || !holds_changes()) {
    return false;
  }
  select(range);
  return true;
}

// What has changed in (from, to] among the rows of `range`. False where that does not tell what
// they are like at the point.
bool ChunkReader::patch(const KeyRange& range) {
  const CaptureInstance& instance = reading_->instance;
  const Options& options = session_.options();
  const bool command_order = options.query_mode == QueryMode::kDirect && instance.has_command_id;
  patches_.emplace(instance, command_order);
  if (point_->lsn <= *from_) {
    return true;
  }
  ChangeTableReader changes(pages_, instance, options.query_mode, *from_, point_->lsn,
                            options.page_rows,
                            key_->condition(range, TableKey::Where::kChangeTable));
  while (changes.peek() != nullptr) {
    if (instance.key.empty()) {
      log_->info("table without a key has changed, and is copied later table={}",
                 instance.table.to_string());
      return false;
    }
    patches_->add(changes.pop());
    if (patches_->bytes() > options.gate_bytes_max / 4) {
      log_->info("chunk has too many changes for one table={} bytes={}", instance.table.to_string(),
                 patches_->bytes());
      return false;
    }
  }
  for (const RowPatches::Key& key : patches_->unknown()) {
    if (!key_text(key)) {
      log_->info("row cannot be told, and its table is copied later table={}",
                 instance.table.to_string());
      return false;
    }
  }
  return true;
}

std::string ChunkReader::where(const KeyRange& range) const {
  const std::string condition = key_->condition(range, TableKey::Where::kTable);
  return condition.empty() ? std::string() : " WHERE " + condition;
}

// The key of the row `rows_max` rows behind the start of `range`; none where fewer are left.
std::optional<KeyText> ChunkReader::find_bound(const KeyRange& range, std::size_t rows_max) {
  const CaptureInstance& instance = reading_->instance;
  std::string columns;
  std::vector<odbc::FetchAs> kinds;
  for (const std::size_t place : instance.key) {
    columns += (columns.empty() ? "" : ", ") + selected(instance.columns[place]);
    kinds.push_back(instance.columns[place].mapping.fetch);
  }
  odbc::Statement rows(*connection_, doing_);
  rows.execute(fmt::format("SELECT {} FROM {}{} ORDER BY {} OFFSET {} ROWS FETCH NEXT 1 ROWS ONLY",
                           columns, table_name(), where(range), key_->columns(), rows_max - 1));
  rows.fetch_as(std::move(kinds));
  if (!rows.next()) {
    return std::nullopt;
  }
  KeyText bound;
  for (std::size_t i = 0; i < instance.key.size(); ++i) {
    const std::size_t place = instance.key[i];
    const std::string bytes = fetched_value(rows, i, instance.columns[place]);
    bound.push_back(
        value_text(reading_->schema->columns[place], value_of(instance.columns[place], bytes)));
  }
  rows.drain();
  return bound;
}

void ChunkReader::select(const KeyRange& range) {
  std::string columns;
  std::vector<odbc::FetchAs> kinds;
  for (const CapturedColumn& column : reading_->instance.columns) {
    if (!column.dropped) {
      columns += (columns.empty() ? "" : ", ") + selected(column);
      kinds.push_back(column.mapping.fetch);
    }
  }
  rows_.emplace(*connection_, doing_);
  rows_->execute(fmt::format("SELECT {} FROM {}{}{}", columns, table_name(), where(range),
                             next_cursor_ ? " ORDER BY " + key_->columns() : ""));
  rows_->fetch_as(std::move(kinds));
}

RowPatches::Values ChunkReader::fetch() {
  RowPatches::Values values;
  std::size_t place = 0;
  for (const CapturedColumn& column : reading_->instance.columns) {
    std::optional<std::string>& value = values.emplace_back();
    if (!column.dropped) {
      if (!rows_->is_null(place)) {
        value = fetched_value(*rows_, place, column);
      }
      ++place;
    }
  }
  return values;
}

CopySource::Read ChunkReader::read(Transaction& portion, std::size_t bytes_max,
                                   TimePoint deadline) {
  const CaptureInstance& instance = reading_->instance;
  while (portion.memory_bytes() < bytes_max && clock_.now() < deadline) {
    if (!rows_->next()) {
      end_reading(portion);
      return {true};
    }
    RowPatches::Values values = fetch();
    if (!instance.key.empty()) {
      if (const RowPatches::Patch* patch = patches_->use(values)) {
        if (patch->unknown || !patch->there) {
          continue;
        }
        for (std::size_t i = 0; i < values.size(); ++i) {
          if (!patch->as_read[i]) {
            values[i] = patch->values[i];
          }
        }
      }
    }
    add(std::move(values), portion);
  }
  return {false};
}

void ChunkReader::end_reading(Transaction& portion) {
  rows_.reset();
  for (RowPatches::Values& values : patches_->take_left()) {
    add(std::move(values), portion);
  }
  for (const RowPatches::Key& key : patches_->unknown()) {
    if (auto text = key_text(key); text && is_wanted(*text)) {
      left_out_.push_back(std::move(*text));
    }
  }
}

// As the key is written down in cursors; none where a part of it is NULL, which has no text.
std::optional<KeyText> ChunkReader::key_text(const RowPatches::Key& key) const {
  KeyText texts;
  for (std::size_t i = 0; i < key.size(); ++i) {
    const std::size_t place = reading_->instance.key[i];
    if (!key[i]) {
      return std::nullopt;
    }
    texts.push_back(value_text(reading_->schema->columns[place],
                               value_of(reading_->instance.columns[place], *key[i])));
  }
  return texts;
}

void ChunkReader::add(RowPatches::Values values, Transaction& portion) const {
  if (wanted_) {
    RowPatches::Key key;
    for (const std::size_t place : reading_->instance.key) {
      key.push_back(values[place]);
    }
    if (const auto text = key_text(key); !text || !is_wanted(*text)) {
      return;
    }
  }
  const auto row = portion.arena().array<Value>(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    row[i] = values[i] ? value_of(reading_->instance.columns[i], portion.arena().copy(*values[i]))
                       : Value::null();
  }
  portion.add_change(reading_->schema, Operation::kInsert, row);
}

std::optional<std::vector<std::string>> ChunkReader::next_cursor() const {
  return next_cursor_;
}

void ChunkReader::release_point() noexcept {
  asked_ = false;
  point_.reset();
  from_.reset();
  fence_.reset();
  tables_.clear();
  reading_ = nullptr;
  key_.reset();
  patches_.reset();
  rows_.reset();
  if (!std::exchange(in_view_, false) || !connection_) {
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

void ChunkReader::close() noexcept {
  release_point();
  connection_.reset();
}

}  // namespace headgate::source::sqlserver
