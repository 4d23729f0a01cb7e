#include "source/sqlserver/chunk_reader.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "base/check.hpp"
#include "core/value_text.hpp"
#include "source/sqlserver/capture_state.hpp"
#include "source/sqlserver/change_key.hpp"
#include "source/sqlserver/change_table_reader.hpp"
#include "source/sqlserver/fetched_value.hpp"
#include "source/sqlserver/log_window.hpp"

namespace headgate::source::sqlserver {
namespace {

// A chunk whose changes are too much for it is made smaller by this.
constexpr std::size_t kShrink = 16;

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
          1, [this]() -> odbc::Connection& { return session_.connection(); }, nullptr),
      locks_(session.options(), clock, log_) {}

ChunkReader::~ChunkReader() {
  close();
}

std::string ChunkReader::table_name() const {
  const TableName& name = reading_->instance.table;
  return quoted(name.schema) + "." + quoted(name.table);
}

// False where the point does not have the table.
bool ChunkReader::open(const CopyTable& table) {
  HEADGATE_CHECK(point_.has_value(), "a chunk is read at a copy point");
  const auto found = std::find_if(tables_.begin(), tables_.end(), [&](const Reading& candidate) {
    return candidate.schema->source_id == table.schema->source_id;
  });
  HEADGATE_CHECK(found != tables_.end(), "a chunk is of a table of the point");
  reading_ = &*found;
  doing_ = "copy table " + table.schema->name.to_string();
  refusal_ = {};
  next_cursor_.reset();
  wanted_.reset();
  patches_.reset();
  counts_.reset();
  counting_earlier_ = false;
  left_out_.clear();
  key_.emplace(reading_->instance,
               read_facts(session_.connection(), reading_->instance.source_table));
  const Options& options = session_.options();
  seen_to_ = options.lock_tables ? view_->savepoint : view_->from;
  if (options.lock_tables && !locks_.locked(table.schema->source_id)) {
    const unsigned failures = locks_.failures(table.schema->source_id);
    if (locks_.denied(table.schema->source_id)) {
      return refuse_unreadable();
    }
    return failures == 0 ? refuse({})  // it was not its turn
                         : refuse(fmt::format("it was not locked within snapshot.lock_timeout, {} "
                                              "times: transactions that write to it last longer",
                                              failures),
                                  "end them, or raise snapshot.lock_timeout: its writers wait as "
                                  "long");
  }
  return holds_changes(seen_to_);
}

bool ChunkReader::refuse(std::string reason, std::string remedy) {
  refusal_ = {std::move(reason), std::move(remedy)};
  return false;
}

// The change table has all changes from there to the point, with the columns that we know. Asked
// behind the reading of them, too: clean-up raises the start before it deletes.
bool ChunkReader::holds_changes(const LSN& behind) {
  const InstanceFloors floors = read_floors(session_.connection());
  const CaptureInstance& instance = reading_->instance;
  const bool holds = std::any_of(floors.begin(), floors.end(), [&](const InstanceFloor& floor) {
    return floor.change_table == instance.change_table && floor.modified == instance.modified &&
           floor.start_lsn && *floor.start_lsn <= increment(behind);
  });
  return holds || refuse("its capture instance was made, altered or cleaned up at the same time",
                         "nothing, unless that happens all the time");
}

bool ChunkReader::refuse_unreadable() {
  const std::string user = quoted(read_server(session_.connection()).user);
  refusal_ = {"the login may not read it",
              fmt::format("GRANT SELECT ON {} TO {};", table_name(), user), false};
  return false;
}

bool ChunkReader::attempt(const std::function<bool()>& begin) {
  try {
    return begin();
  } catch (const odbc::OdbcError& error) {
    if (!error.connection_lost() && is_denied(error)) {
      return refuse_unreadable();
    }
    if (!is_passing(error)) {
      throw;
    }
    return refuse(std::string("it is altered or locked by others: ") + error.what(),
                  "end what holds or alters it");
  }
}

bool ChunkReader::begin_chunk(const CopyTable& table, const std::vector<std::string>& after,
                              std::size_t rows_max) {
  if (!open(table)) {
    return false;
  }
  return attempt([&] {
    if (reading_->instance.key.empty()) {
      return begin_whole();
    }
    return key_->comparable() ? begin_keyed(after, rows_max) : begin_reading({});
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
  if (!patch(range) || !holds_changes(seen_to_)) {
    return false;
  }
  select(*view_, range);
  return true;
}

// What has changed in (from, to] among the rows of `range`. False where that does not tell what
// they are like at the point.
bool ChunkReader::patch(const KeyRange& range) {
  const CaptureInstance& instance = reading_->instance;
  const Options& options = session_.options();
  const bool command_order = options.query_mode == QueryMode::kDirect && instance.has_command_id;
  patches_.emplace(instance, command_order);
  if (point_->lsn <= seen_to_) {
    return true;
  }
  ChangeTableReader changes(pages_, instance, options.query_mode, seen_to_, point_->lsn,
                            options.page_rows,
                            key_->condition(range, TableKey::Where::kChangeTable));
  while (changes.peek() != nullptr) {
    patches_->add(changes.pop());
    if (patches_->bytes() > options.gate_bytes_max / 4) {
      return refuse("too many of its rows change for limits.memory", "raise limits.memory");
    }
  }
  for (const RowPatches::Key& key : patches_->unknown()) {
    if (!key_text(key)) {
      return refuse("what became of a row with NULL in its key is not told",
                    "give it a primary key");
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
  odbc::Statement rows(view_->connection(), doing_);
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

void ChunkReader::select(CopyView& view, const KeyRange& range) {
  std::string columns;
  std::vector<odbc::FetchAs> kinds;
  for (const CapturedColumn& column : reading_->instance.columns) {
    if (!column.dropped) {
      columns += (columns.empty() ? "" : ", ") + selected(column);
      kinds.push_back(column.mapping.fetch);
    }
  }
  rows_.emplace(view.connection(), doing_);
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
  if (counting_earlier_) {
    const bool sound = attempt([&] {
      if (count_earlier(deadline)) {
        if (!holds_changes(earlier_->from)) {
          return false;
        }
        select(*view_, {});
      }
      return true;
    });
    earlier_missed_ = earlier_missed_ || !sound;
    return {false, !sound};
  }
  while (portion.memory_bytes() < bytes_max && clock_.now() < deadline) {
    if (!rows_) {
      return {add_counted(portion, bytes_max, deadline), false};
    }
    if (!rows_->next()) {
      end_reading(portion);
      if (counts_) {
        continue;
      }
      return {true, false};
    }
    RowPatches::Values values = fetch();
    if (counts_ && counts_->withhold(values)) {
      continue;
    }
    if (patches_) {
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
  return {false, false};
}

void ChunkReader::end_reading(Transaction& portion) {
  rows_.reset();
  if (!patches_) {
    return;
  }
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

}  // namespace headgate::source::sqlserver
