#include "source/sqlserver/chunk_reader.hpp"

#include <algorithm>
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

// Of changes beside one chunk, which are held in memory.
constexpr std::size_t kChangesMax = 100'000;

// Somebody has altered the table since the view was pinned; a lock was not to be had.
constexpr std::int32_t kAltered = 3961;
constexpr std::int32_t kLocked = 1222;
constexpr std::int32_t kSnapshotsNotAllowed = 3952;

std::string selected(const CapturedColumn& column) {
  return fmt::format(fmt::runtime(column.mapping.expression), quoted(column.name));
}

Value value_of(const CapturedColumn& column, std::string_view bytes) {
  return column.mapping.fetch == odbc::FetchAs::kBytes ? Value::binary(bytes) : Value::text(bytes);
}

std::map<std::uint32_t, std::string> read_collations(odbc::Connection& connection,
                                                     std::int64_t table) {
  odbc::Statement rows(connection, "read the collations of a table");
  rows.execute(
      fmt::format("SELECT column_id, collation_name FROM sys.columns WHERE object_id = {} AND "
                  "collation_name IS NOT NULL",
                  table));
  std::map<std::uint32_t, std::string> collations;
  while (rows.next()) {
    collations.emplace(static_cast<std::uint32_t>(rows.integer(0)), rows.text(1));
  }
  return collations;
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
  asked_ = true;
}

std::optional<Position> ChunkReader::point(TimePoint deadline) {
  while (!point_ && asked_) {
    if (!fence_) {
      pin();
      next_look_ = clock_.now();
    }
    if (const TimePoint look = std::min(next_look_, deadline); look > clock_.now()) {
      std::this_thread::sleep_for(look - clock_.now());
    }
    if (clock_.now() < next_look_) {
      break;
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
  connect();
  connection_->execute("BEGIN TRANSACTION", "begin a copy point");
  in_view_ = true;
  try {
    from_ = captured_to(*connection_);  // the first read, which pins the view
  } catch (const odbc::OdbcError& error) {
    if (!error.has(kSnapshotsNotAllowed)) {
      throw;
    }
    throw Error{ErrorKind::kOperator, error.what(),
                "ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON"};
  }
  if (!from_) {
    throw Error{ErrorKind::kTransient, "source: the capture process has never run",
                "start SQL Server Agent and the capture job"};
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
  patches_ = {};
  key_.emplace(reading_->instance,
               read_collations(session_.connection(), reading_->instance.source_table));
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
    if (error.connection_lost() || (!error.has(kAltered) && !error.has(kLocked))) {
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
    if (table.schema->key.empty() || !key_->comparable()) {
      return begin_reading({});
    }
    std::string condition = after.empty() ? std::string() : "(" + key_->behind(after) + ")";
    next_cursor_ = find_bound(condition, rows_max);
    if (next_cursor_) {
      condition +=
          fmt::format("{}({})", condition.empty() ? "" : " AND ", key_->up_to(*next_cursor_));
    }
    return begin_reading(condition);
  });
}

bool ChunkReader::begin_rows(const CopyTable& table,
                             const std::vector<std::vector<std::string>>& keys) {
  if (!open(table)) {
    return false;
  }
  if (!key_->comparable()) {
    wanted_.emplace(keys.begin(), keys.end());
  }
  return attempt([&] { return begin_reading(wanted_ ? std::string() : condition_of(keys)); });
}

std::string ChunkReader::condition_of(const std::vector<KeyText>& keys) const {
  std::string condition;
  for (const KeyText& key : keys) {
    condition += fmt::format("{}({})", condition.empty() ? "" : " OR ", key_->is(key));
  }
  return "(" + condition + ")";
}

bool ChunkReader::begin_reading(const std::string& condition) {
  if (!patch(condition) || !holds_changes()) {
    return false;
  }
  select(condition);
  return true;
}

// What has changed in (from, to] among the rows of `condition`. False where that does not tell what
// they are like at the point.
bool ChunkReader::patch(const std::string& condition) {
  if (point_->lsn <= *from_) {
    return true;
  }
  const CaptureInstance& instance = reading_->instance;
  const QueryMode mode = session_.options().query_mode;
  const bool command_order = mode == QueryMode::kDirect && instance.has_command_id;
  const LSN first = increment(*from_);
  std::string columns =
      fmt::format("[__$start_lsn], {}, [__$seqval], [__$operation], [__$update_mask]",
                  command_order ? "[__$command_id]" : "0");
  for (const CapturedColumn& column : instance.columns) {
    columns += ", " + selected(column);
  }
  const std::string sql = fmt::format(
      "SELECT TOP ({}) {} FROM {} WHERE [__$start_lsn] >= {} AND [__$start_lsn] <= {}{} "
      "ORDER BY [__$start_lsn], {}[__$seqval], [__$operation]",
      kChangesMax + 1, columns, rows_of(instance, mode, first, point_->lsn), first.to_hex(),
      point_->lsn.to_hex(), condition.empty() ? "" : " AND " + condition,
      command_order ? "[__$command_id], " : "");
  const ChangeRows changes = pages_.take(*pages_.ask(instance, sql));
  auto patches = instance.key.empty() || changes.size() > kChangesMax
                     ? std::nullopt
                     : RowPatches::of(changes, instance, command_order);
  if (!patches && !changes.empty()) {
    log_->info(
        "changes do not tell what a table's rows are at this point, it is copied later table={} "
        "changes={}",
        instance.table.to_string(), changes.size());
    return false;
  }
  patches_ = patches ? std::move(*patches) : RowPatches();
  return true;
}

// The key of the row `rows_max` rows behind the start; none where fewer are left.
std::optional<KeyText> ChunkReader::find_bound(const std::string& condition, std::size_t rows_max) {
  const CaptureInstance& instance = reading_->instance;
  std::string columns;
  std::vector<odbc::FetchAs> kinds;
  for (const std::size_t place : instance.key) {
    columns += (columns.empty() ? "" : ", ") + selected(instance.columns[place]);
    kinds.push_back(instance.columns[place].mapping.fetch);
  }
  odbc::Statement rows(*connection_, doing_);
  rows.execute(fmt::format("SELECT {} FROM {}{} ORDER BY {} OFFSET {} ROWS FETCH NEXT 1 ROWS ONLY",
                           columns, table_name(), condition.empty() ? "" : " WHERE " + condition,
                           key_->columns(), rows_max - 1));
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

void ChunkReader::select(const std::string& condition) {
  std::string columns;
  std::vector<odbc::FetchAs> kinds;
  for (const CapturedColumn& column : reading_->instance.columns) {
    if (!column.dropped) {
      columns += (columns.empty() ? "" : ", ") + selected(column);
      kinds.push_back(column.mapping.fetch);
    }
  }
  rows_.emplace(*connection_, doing_);
  rows_->execute(fmt::format("SELECT {} FROM {}{}{}", columns, table_name(),
                             condition.empty() ? "" : " WHERE " + condition,
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
      rows_.reset();
      for (RowPatches::Values& values : patches_.take_left()) {
        add(std::move(values), portion);
      }
      return {true};
    }
    RowPatches::Values values = fetch();
    if (!instance.key.empty()) {
      if (const RowPatches::Patch* patch = patches_.use(key_of(values, instance))) {
        if (!patch->there) {
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

void ChunkReader::add(RowPatches::Values values, Transaction& portion) const {
  const auto row = portion.arena().array<Value>(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    row[i] = values[i] ? value_of(reading_->instance.columns[i], portion.arena().copy(*values[i]))
                       : Value::null();
  }
  if (wanted_) {
    KeyText key;
    for (const std::size_t place : reading_->instance.key) {
      key.push_back(value_text(reading_->schema->columns[place], row[place]));
    }
    if (!wanted_->contains(key)) {
      return;
    }
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
  patches_ = {};
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
