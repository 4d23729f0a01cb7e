#include "source/sqlserver/cdc_capturer.hpp"

#include <algorithm>
#include <set>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "base/check.hpp"
#include "db/odbc/statement.hpp"
#include "source/sqlserver/capture_instances.hpp"

namespace headgate::source::sqlserver {
namespace {

// Rows of one transaction that go to the gate together.
constexpr std::size_t kGatheredMax = 256;

// Where each change table's rows end: one backward seek each, in one statement, however many tables
// are quiet.
std::vector<LSN> ends_of(odbc::Connection& connection,
                         const std::vector<const CaptureInstance*>& instances) {
  constexpr std::size_t kBranchesMax = 200;
  std::vector<LSN> ends(instances.size());
  for (std::size_t from = 0; from < instances.size(); from += kBranchesMax) {
    std::string sql;
    for (std::size_t i = from; i < std::min(instances.size(), from + kBranchesMax); ++i) {
      sql += fmt::format("{}SELECT {} AS n, MAX([__$start_lsn]) AS last_lsn FROM [cdc].{}",
                         sql.empty() ? "" : " UNION ALL ", i, quoted(instances[i]->name + "_CT"));
    }
    odbc::Statement rows(connection, "look where the change tables end");
    rows.execute(sql);
    while (rows.next()) {
      if (!rows.is_null(1)) {
        ends.at(static_cast<std::size_t>(rows.integer(0))) = LSN::from_bytes(rows.bytes(1));
      }
    }
  }
  return ends;
}

}  // namespace

CdcCapturer::CdcCapturer(Session& session, const Clock& clock, Logger log)
    : session_(session), clock_(clock), log_(std::move(log)) {}

void CdcCapturer::open(const StartPoint& start) {
  stop();
  position_ = start.resume.lsn;
  durable_ = position_;
  if (start.requested) {
    session_.admit(start.requested->tables);
  }
  pages_ = std::make_unique<PageReaders>(
      session_.options().readers, [this]() -> odbc::Connection& { return session_.connection(); },
      [options = session_.options(), history = session_.history()] {
        auto connection = std::make_unique<odbc::Connection>(session_options(options));
        if (read_history(*connection) != history) {
          throw Error{ErrorKind::kReread, "source: a further connection leads to another database"};
        }
        return connection;
      });
  choose_instances(read_floors(session_.connection()));
  if (!session_.holds(position_, readings(), floors_)) {
    throw Error{ErrorKind::kTransient,
                "source: capture instances were altered while they were read"};
  }
  handed_over_ = position_;
  ready_to_ = position_;
  last_advance_ = clock_.now();
  next_poll_ = clock_.now();
}

void CdcCapturer::stop() noexcept {
  pages_.reset();  // and with it whoever still reads
  ready_.clear();
  window_.reset();
  gathering_.reset();
  tables_.clear();
  floors_.clear();
  gate_.reset();
  spill_space_.reset();
}

CaptureResult CdcCapturer::fetch(const FetchLimits& limits, TimePoint deadline) {
  CaptureResult result;
  if (limits.transactions_max == 0) {
    return result;
  }
  while (true) {
    if (auto names = session_.take_new_tables(); !names.empty()) {
      log_->info("tables are captured for the first time, and copied tables={}", names.size());
      result.copy = CopyRequest{std::move(names), true};
      return result;
    }
    take(limits, result);
    if (!result.transactions.empty()) {
      result.batch_id = BatchContext::make({}, clock_.wall_now()).batch_id;
      return result;
    }
    if (window_ ? !read_window(deadline) : !begin_window()) {
      // Nothing more now: the next look at the server is due at next_poll_.
      const TimePoint wake = std::min(deadline, next_poll_);
      if (wake > clock_.now()) {
        std::this_thread::sleep_for(wake - clock_.now());
      }
    }
    if (clock_.now() >= deadline) {
      return result;
    }
  }
}

// True when there is a window to read.
bool CdcCapturer::begin_window() {
  if (clock_.now() < next_poll_) {
    return false;
  }
  odbc::Connection& server = session_.connection();
  const auto captured = captured_to(server);
  next_poll_ = clock_.now() + session_.options().poll_interval;
  if (!captured || *captured <= position_) {
    if (captured && *captured < position_) {
      throw Error{ErrorKind::kPositionLost,
                  fmt::format("source: the database's changes end at {}, before our position {}",
                              captured->to_string(), position_.to_string()),
                  "the database went back, by a restore or a failover: begin again with a new "
                  "copy"};
    }
    return false;
  }
  // Behind the question how far changes are captured: of what is captured by now, an instance that
  // is not seen here has nothing yet.
  if (InstanceFloors floors = read_floors(server); must_choose_again(floors)) {
    choose_instances(std::move(floors));
  }
  LSN end = *captured;
  for (const auto& table : tables_) {
    if (table->reading.to) {
      end = LSN::min(end, *table->reading.to);
    }
  }
  window_ = next_window(server, position_, end, session_.options().window_transactions_max,
                        session_.time());
  begun_ = false;
  return true;
}

bool CdcCapturer::must_choose_again(const InstanceFloors& floors) const {
  const bool same =
      std::equal(floors.begin(), floors.end(), floors_.begin(), floors_.end(),
                 [](const InstanceFloor& a, const InstanceFloor& b) { return a.is_unaltered(b); });
  return !same || std::any_of(tables_.begin(), tables_.end(), [&](const auto& table) {
    return table->reading.to && *table->reading.to <= position_;
  });
}

// Decides what is read behind position_. REQUIRES: no window; the gate, if there is one, is empty.
void CdcCapturer::choose_instances(InstanceFloors floors) {
  // In this order: what is altered between the two is noticed behind the window.
  floors_ = std::move(floors);
  std::vector<Reading> chosen = session_.follow(position_);
  std::vector<std::unique_ptr<Table>> tables;
  for (Reading& reading : chosen) {
    const auto before =
        std::find_if(tables_.begin(), tables_.end(), [&](const std::unique_ptr<Table>& table) {
          return table->instance().source_table == reading.instance.source_table;
        });
    if (before != tables_.end()) {
      announce((*before)->reading, reading);
      if (*(*before)->reading.schema == *reading.schema) {
        reading.schema = (*before)->reading.schema;  // the sinks need not look at it again
      }
    }
    tables.push_back(std::make_unique<Table>(std::move(reading), session_.options().query_mode));
  }
  tables_ = std::move(tables);
  open_gate();
}

void CdcCapturer::announce(const Reading& before, const Reading& now) const {
  const std::string table = now.instance.table.to_string();
  if (before.instance.change_table != now.instance.change_table) {
    log_->info("capture instance handed over table={} from={} to={} behind={}", table,
               before.instance.name, now.instance.name, position_.to_string());
  } else if (now.to && before.to != now.to) {
    log_->info("capture instance will be handed over table={} from={} behind={}", table,
               now.instance.name, now.to->to_string());
  }
}

// A new one: marks never move back, and what was read in vain is forgotten.
void CdcCapturer::open_gate() {
  gate_.reset();
  const Options& options = session_.options();
  std::set<TableName> names;
  for (const auto& table : tables_) {
    names.insert(table->instance().table);
    table->marked = {};
  }
  GateOptions gate;
  gate.memory_bytes_max = options.gate_bytes_max;
  spill_space_ = std::make_unique<SpillSpace>(options.spill_folder, options.spill_bytes_max);
  gate_ = std::make_unique<TransactionBuffer>(
      clock_, names, gate, options.spill_folder.empty() ? nullptr : spill_space_.get());
}

std::vector<Reading> CdcCapturer::readings() const {
  std::vector<Reading> list;
  for (const auto& table : tables_) {
    list.push_back(table->reading);
  }
  return list;
}

void CdcCapturer::begin_reading() {
  odbc::Connection& server = session_.connection();
  const Options& options = session_.options();
  std::vector<const CaptureInstance*> instances;
  for (const auto& table : tables_) {
    instances.push_back(&table->instance());
  }
  // Only the change tables themselves can say it.
  const bool ends_known = options.query_mode == QueryMode::kDirect;
  const std::vector<LSN> ends = ends_known ? ends_of(server, instances) : std::vector<LSN>{};
  for (std::size_t i = 0; i < tables_.size(); ++i) {
    Table& table = *tables_[i];
    if (ends_known && ends[i] <= window_->from) {
      mark(table, window_->to);  // nothing of it is in the window
    } else {
      table.reader.emplace(*pages_, table.instance(), options.query_mode, window_->from,
                           window_->to, options.page_rows);
      if (pages_->reads_ahead()) {
        table.reader->ask();
      }
    }
  }
}

// As read_some(). What fails because an instance was altered or dropped meanwhile is read again.
bool CdcCapturer::read_window(TimePoint deadline) {
  try {
    if (!begun_) {
      begin_reading();
      begun_ = true;
    }
    return read_some(deadline);
  } catch (const Error& error) {
    const auto* odbc = dynamic_cast<const odbc::OdbcError*>(&error);
    const bool asked_wrongly = reaction_to(error.kind()) == Reaction::kStop &&
                               error.kind() != ErrorKind::kPositionLost &&
                               (odbc == nullptr || !odbc->connection_lost());
    if (!asked_wrongly || session_.holds(position_, readings(), floors_)) {
      constexpr std::int32_t kOutOfRange = 313;
      if (asked_wrongly && odbc != nullptr && odbc->has(kOutOfRange)) {
        // Nothing is lost: an instance so young that its functions do not answer yet.
        throw Error{ErrorKind::kTransient, error.what(), error.hint()};
      }
      throw;
    }
    log_->info("capture instances have changed, window is read again from={} error=\"{}\"",
               position_.to_string(), error.what());
    give_window_up();
    return true;
  }
}

void CdcCapturer::give_window_up() {
  pages_->cancel();
  window_.reset();
  gathering_.reset();
  next_poll_ = clock_.now();
  choose_instances(read_floors(session_.connection()));  // says what is lost, if anything is
}

// Reads on for a while; ends the window when nothing is left of it. False when it had to stop
// before that.
bool CdcCapturer::read_some(TimePoint deadline) {
  while (true) {
    if (!pages_are_here(deadline)) {
      hand_to_gate();
      return false;
    }
    Table* table = next_table();
    if (table == nullptr) {
      break;
    }
    const LSN commit = table->reader->peek()->key.commit_lsn;
    if (!gathering_ || gathering_->commit_lsn() != commit) {
      begin_transaction(commit);
    }
    table->joiner.add(table->reader->pop(), *gathering_);
    if (gathering_->changes().size() >= kGatheredMax) {
      hand_to_gate();
      if (clock_.now() >= deadline) {
        return false;
      }
    }
  }
  if (!end_window()) {
    give_window_up();
  }
  return true;
}

// The next row of each table is known. What is not there by `deadline` is on its way.
bool CdcCapturer::pages_are_here(TimePoint deadline) {
  return std::all_of(tables_.begin(), tables_.end(), [&](const std::unique_ptr<Table>& table) {
    return !table->reader || table->reader->is_here(Duration::zero()) ||
           table->reader->is_here(std::max(deadline - clock_.now(), Duration::zero()));
  });
}

// The table whose next row comes first; null at the window's end.
CdcCapturer::Table* CdcCapturer::next_table() {
  Table* first = nullptr;
  for (const auto& table : tables_) {
    if (!table->reader) {
      continue;
    }
    const ChangeRow* row = table->reader->peek();
    if (row != nullptr && (first == nullptr || row->key < first->reader->peek()->key)) {
      first = table.get();
    }
  }
  return first;
}

void CdcCapturer::begin_transaction(const LSN& commit) {
  hand_to_gate();
  const auto mapped = window_->transactions.find(commit);
  const bool known = mapped != window_->transactions.end();
  gathering_ = std::make_unique<Transaction>(known ? mapped->second.id : commit.to_hex(), commit,
                                             clock_.wall_now());
  if (known) {
    gathering_->set_commit_time(mapped->second.commit_time);
  }
  next_ordinal_ = 0;
}

// What was gathered goes to the gate, and with it how far each table has been read.
void CdcCapturer::hand_to_gate() {
  if (gathering_ && !gathering_->changes().empty()) {
    for (const Change& change : gathering_->changes()) {
      for (const auto& table : tables_) {
        if (table->joiner.schema().get() == change.table) {
          HEADGATE_CHECK(gate_->add(table->joiner.schema(), change), "the gate is open");
          break;
        }
      }
    }
    next_ordinal_ = gathering_->next_ordinal();
    auto rest = std::make_unique<Transaction>(gathering_->id(), gathering_->commit_lsn(),
                                              gathering_->created_at());
    rest->set_commit_time(gathering_->commit_time());
    rest->set_first_ordinal(next_ordinal_);
    gathering_ = std::move(rest);
  }
  for (const auto& table : tables_) {
    if (table->reader) {
      mark(*table, table->reader->read_to());
    }
  }
}

void CdcCapturer::mark(Table& table, const LSN& read_to) {
  if (table.marked < read_to) {
    const auto mapped = window_->transactions.find(read_to);
    gate_->update_table_max_commit_time(
        table.instance().table,
        mapped == window_->transactions.end() ? WallTime{} : mapped->second.commit_time, read_to);
    table.marked = read_to;
  }
}

// False when what was read is not sure to be all: nothing has left then.
bool CdcCapturer::end_window() {
  hand_to_gate();
  gathering_.reset();
  for (const auto& table : tables_) {
    table->reader.reset();
    mark(*table, window_->to);
  }
  // A clean-up that ran while we read raised the floors before it deleted: seen here, before
  // anything of the window leaves.
  if (!session_.holds(position_, readings(), floors_)) {
    return false;
  }
  for (ReleasedTransaction& released : gate_->get_complete_transactions()) {
    HEADGATE_CHECK(released.whole, "the strict gate lets nothing else go");
    ready_.push_back(std::move(released));
  }
  HEADGATE_CHECK(gate_->is_empty(), "every table was read to the window's end");
  position_ = window_->to;
  ready_to_ = window_->to;
  next_poll_ = clock_.now();  // there may be more at once
  window_.reset();
  return true;
}

void CdcCapturer::finish(Transaction& transaction) const {
  transaction.end_position = {transaction.commit_lsn(), session_.history()};
}

// Up to the limits: whole transactions, or portions of one that was spilled.
void CdcCapturer::take(const FetchLimits& limits, CaptureResult& result) {
  std::size_t bytes = 0;
  while (!ready_.empty() && result.transactions.size() < limits.transactions_max &&
         bytes < limits.bytes_max) {
    ReleasedTransaction& first = ready_.front();
    std::shared_ptr<Transaction> taken;
    if (first.spilled) {
      auto portion = first.spilled->next_portion(limits.bytes_max);
      HEADGATE_CHECK(portion.has_value(), "a spilled transaction has changes");
      taken = std::make_shared<Transaction>(std::move(*portion));
    } else {
      taken = std::make_shared<Transaction>(std::move(first.transaction));
    }
    finish(*taken);
    bytes += taken->memory_bytes();
    if (ends(taken->portion)) {
      handed_over_ = taken->commit_lsn();
      ready_.pop_front();
    }
    result.transactions.push_back(std::move(taken));
  }
  if (!ready_.empty() || ready_to_ <= handed_over_ || !result.transactions.empty()) {
    return;
  }
  if (clock_.now() >= last_advance_ + session_.options().idle_advance_interval) {
    result.transactions.push_back(advance());
  }
}

// The window's end is where sinks may stand although nothing changes in them.
TransactionPtr CdcCapturer::advance() {
  auto empty = std::make_shared<Transaction>("", ready_to_, clock_.wall_now());
  empty->end_position = {ready_to_, session_.history()};
  handed_over_ = ready_to_;
  last_advance_ = clock_.now();
  return empty;
}

}  // namespace headgate::source::sqlserver
