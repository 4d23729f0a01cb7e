#include "source/postgres/session.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "source/postgres/catalog.hpp"
#include "source/postgres/table_check.hpp"

namespace headgate::source::postgres {
namespace {

// Creating a slot waits for every open transaction; longer than this is worth a word to the user.
constexpr Duration kSlotPatience = std::chrono::seconds(30);

// No longer, since the stream stands still meanwhile.
constexpr Duration kVisiblePatience = std::chrono::seconds(5);

// Changes of a partition come as those of its table where the publication holds that, too; of such
// a one, and of the partitions of a table that is published by them, nothing would be mirrored, and
// nobody would know.
Findings unpublished(const Selection& selection, const Publications& publications) {
  Findings findings;
  for (const CatalogTable* table : selection.all()) {
    if (publications.find(table->oid) == nullptr) {
      findings.push_back(Finding::error(
          fmt::format("source: publication {} does not send the changes of table {} as such",
                      publications.name, table->name.to_string()),
          "of a partitioned table, it sends those of the root with publish_via_partition_root = "
          "true, and those of the partitions without: name in `tables` what it sends"));
    }
  }
  return findings;
}

Findings published_findings(const PublicationPlan& plan) {
  Findings findings = plan.findings;
  for (const PublicationPlan::Statement& statement : plan.missing) {
    findings.push_back(Finding::planned("source: headgate will " + statement.purpose, statement.sql)
                           .mended_by("source", {statement.sql}));
  }
  return findings;
}

// The partitioned tables of which some published table is a partition, however deep.
std::set<std::uint32_t> ancestors_of(const Publications& publications,
                                     const std::vector<CatalogTable>& tables) {
  std::map<std::uint32_t, std::uint32_t> parents;
  for (const CatalogTable& table : tables) {
    parents.emplace(table.oid, table.partition_of);
  }
  std::set<std::uint32_t> ancestors;
  for (const CatalogTable& table : tables) {
    const bool is_published = publications.find(table.oid) != nullptr;
    for (auto next = parents.find(table.partition_of); is_published && next != parents.end();
         next = parents.find(next->second)) {
      ancestors.insert(next->first);
    }
  }
  return ancestors;
}

bool any_error(const Findings& findings) {
  return std::any_of(findings.begin(), findings.end(), [](const Finding& finding) {
    return finding.level == Finding::Level::kError;
  });
}

}  // namespace

Session::Session(Options options, Logger log)
    : options_(std::move(options)), filter_(options_.tables), log_(std::move(log)) {}

pq::Connection& Session::catalog() {
  if (!catalog_ || catalog_->lost()) {
    catalog_.reset();
    pq::ConnectOptions connect = session_options(options_);
    // Whoever waits for a lock makes others wait behind it.
    connect.settings.emplace_back("lock_timeout", "10s");
    catalog_ = std::make_unique<pq::Connection>(connect);
    database_.clear();
  }
  return *catalog_;
}

bool Session::catalog_ended() {
  return !catalog_ || catalog_->ended_by_server();
}

pq::ConnectOptions Session::replication_options() const {
  pq::ConnectOptions connect = session_options(options_);
  if (options_.decoding_work_mem) {
    connect.settings.emplace_back("logical_decoding_work_mem", *options_.decoding_work_mem);
  }
  return connect;
}

// Nothing where every further question is pointless; the findings say why.
std::optional<ServerFacts> Session::look_at_server(Findings& findings) {
  pq::Connection& connection = catalog();
  if (connection.server_version() < 100000) {
    findings.push_back(Finding::error("source: the server is older than PostgreSQL 10",
                                      "upgrade it: older servers have no logical replication"));
    return std::nullopt;
  }
  ServerFacts server = read_server(connection);
  database_ = server.database;
  findings.push_back(Finding::ok("source: PostgreSQL " + server.version));
  if (server.in_recovery) {
    findings.push_back(standby_finding());
    return std::nullopt;
  }
  return server;
}

// The tables to select from. While sinks follow the stream, a table that only a pattern matches and
// that no publication holds is new: it is not mirrored, and nothing about it may stop the pipeline.
std::vector<CatalogTable> Session::candidates(const std::vector<CatalogTable>& all,
                                              const Publications& publications, bool following,
                                              Findings& findings) {
  // Partitions come and go with their table.
  std::vector<CatalogTable> tables = without_covered_partitions(all, filter_);
  if (!following) {
    return tables;
  }
  const std::vector<TableName> named = filter_.named();
  const std::set<std::uint32_t> of_published = ancestors_of(publications, all);
  std::erase_if(tables, [&](const CatalogTable& table) {
    const bool is_published =
        of_published.contains(table.oid) || publications.find(table.oid) != nullptr;
    if (is_published || !filter_.matches(table.name)) {
      return false;
    }
    if (std::find(named.begin(), named.end(), table.name) != named.end()) {
      return false;
    }
    const std::string obstacle = why_not_captured(table, publications);
    if (obstacle.empty()) {
      return false;
    }
    findings.push_back(Finding::warning(
        fmt::format("source: table {} is new and matches a pattern of `tables`, but is not "
                    "mirrored: {}",
                    table.name.to_string(), obstacle),
        fmt::format("leave it out (\"!{}\") to be rid of this line", table.name.to_string())));
    return true;
  });
  return tables;
}

// A table that somebody made just now must not stop a pipeline that runs. Empty: nothing forbids
// it.
std::string Session::why_not_captured(const CatalogTable& table, const Publications& publications) {
  if (!options_.copy_new_tables) {
    return "it is not in publication " + options_.publication;
  }
  Findings findings;
  const TableFilter only_this({table.name.to_string()});
  const Selection alone = select_tables({table}, only_this, options_.keyless, findings);
  append(findings, check_rights(catalog(), alone, true));
  const auto error = std::find_if(findings.begin(), findings.end(), [](const Finding& finding) {
    return finding.level == Finding::Level::kError;
  });
  if (error != findings.end()) {
    return error->what;
  }
  const bool needs_append = !alone.appended.empty();
  return needs_append && !publications.append.found
             ? "it has no usable key, and publication " + append_name(options_.publication) +
                   " does not exist"
             : std::string{};
}

std::optional<Following> Session::following(const std::vector<SinkStand>& sinks) const {
  if (sinks.empty()) {
    return std::nullopt;
  }
  Following following{options_.copy_new_tables, {}};
  for (const SinkStand& sink : sinks) {
    for (const TableRecord& table : sink.tables) {
      following.known.insert(table.source.source_id);
    }
  }
  return following;
}

Findings Session::check(const std::vector<SinkStand>& sinks) {
  return examine(sinks).findings;
}

Session::Examination Session::examine(const std::vector<SinkStand>& sinks) {
  Examination seen;
  const auto server = look_at_server(seen.findings);
  if (!server) {
    return seen;
  }
  seen.findings.push_back(check_wal_level(catalog(), *server));
  append(seen.findings, check_database_and_version(catalog().server_version(), *server));
  append(seen.findings, check_replication(sinks, seen));
  append(seen.findings, check_tables(sinks, seen));
  return seen;
}

// What a session that replicates is needed for: history and slot.
Findings Session::check_replication(const std::vector<SinkStand>& sinks, Examination& seen) {
  pq::Connection& connection = catalog();
  try {
    seen.stream = std::make_unique<ReplicationStream>(replication_options());
  } catch (const Error& error) {
    return {replication_refused(connection, error)};
  }
  ReplicationStream* stream = seen.stream.get();
  Findings findings{Finding::ok("source: this user may replicate")};
  const SystemIdentity identity = stream->identify();
  if (identity.in_recovery) {
    return {standby_finding()};  // another server than the catalog's, or one that went back
  }
  const ServerHistory now = read_history(identity);
  seen.history = now.to_history();
  append(findings, check_history(*stream, now, sinks));

  const auto slot = find_slot(connection, options_.slot);
  seen.has_slot = slot.has_value();
  const Findings trouble =
      check_slot(slot, options_.slot, identity.database, identity.flushed_lsn, sinks);
  append(findings, trouble);
  // The first copy takes its snapshot from a slot of its own, for a moment.
  const int copies = sinks.empty() && options_.copy_rows ? 1 : 0;
  append(findings, check_free_slots(connection, copies + (slot ? 0 : 1)));
  append(findings, check_retention(connection, slot, options_.slot));
  if (!slot) {
    findings.push_back(
        Finding::planned("source: headgate will create replication slot " + options_.slot, {}));
    for (const std::string& blocker : slot_blockers(connection, kSlotPatience)) {
      findings.push_back(Finding::warning(
          fmt::format("source: the slot's creation will wait for {}", blocker),
          "end it: COMMIT or ROLLBACK there, or SELECT pg_terminate_backend(…); COMMIT PREPARED or "
          "ROLLBACK PREPARED a prepared one"));
    }
    return findings;
  }
  if (any_error(trouble)) {
    return findings;
  }
  append(findings, check_awaited_standbys(connection, *slot));
  if (!slot->active_pid || slot->read_by_us) {
    findings.push_back(
        Finding::ok(fmt::format("source: replication slot {} exists{}", options_.slot,
                                slot->active_pid ? ", and headgate reads it" : "")));
  } else {
    findings.push_back(Finding::warning(
        fmt::format("source: replication slot {} is in use by {}, and headgate would wait for it",
                    options_.slot, slot->reader),
        "end that reader, or name another slot in source.slot"));
  }
  return findings;
}

Findings Session::check_tables(const std::vector<SinkStand>& sinks, Examination& seen) {
  Findings findings;
  pq::Connection& connection = catalog();
  const bool is_following = !sinks.empty();
  // In this order: one that is made and published in between is not selected yet, instead of being
  // added to its publication a second time.
  const std::vector<CatalogTable> all = list_tables(connection, options_.publication);
  seen.publications = read_publications(connection, options_.publication);
  seen.selection = select_tables(candidates(all, seen.publications, is_following, findings),
                                 filter_, options_.keyless, findings);
  append(findings, check_rights(connection, seen.selection,
                                (!is_following || options_.copy_new_tables) && options_.copy_rows));
  append(findings, check_keyless(connection, seen.selection));
  seen.plan = plan_publications(connection, seen.publications, seen.selection, following(sinks));
  append(findings, published_findings(seen.plan));
  append(findings, check_published(connection, seen.publications));
  return findings;
}

// A warning is said once, not again with every attempt to reconnect.
void Session::log_warnings(const Findings& findings) {
  for (const Finding& finding : findings) {
    if (finding.level == Finding::Level::kWarning && warned_of_.insert(finding.what).second) {
      log_->warn("{} remedy=\"{}\"", finding.what, finding.remedy);
    }
  }
}

History Session::prepare(const std::vector<SinkStand>& sinks) {
  stream_.reset();
  Examination seen = examine(sinks);
  log_warnings(seen.findings);
  require(seen.findings);
  recall_tables(sinks);
  publish(seen);
  // The server that answered was writing, and a timeline ends for one that writes only when it
  // stops, and with it this session.
  history_ = seen.history;
  if (!seen.has_slot && !find_slot(catalog(), options_.slot)) {
    const CreatedSlot slot = create_slot(*seen.stream);
    created_slot_ = true;
    log_->info("replication slot created name={} lsn={}", options_.slot,
               LSN::from_postgres(slot.consistent_point).to_string());
  }
  stream_ = std::move(seen.stream);
  return history_;
}

// Of several sinks the one counts that stands where the stream goes on.
void Session::recall_tables(std::vector<SinkStand> sinks) {
  std::sort(sinks.begin(), sinks.end(),
            [](const SinkStand& a, const SinkStand& b) { return a.position.lsn < b.position.lsn; });
  for (const SinkStand& stand : sinks) {
    for (const TableRecord& table : stand.tables) {
      seen_.recall(table.source);
    }
  }
}

// Makes the publications what was planned, and sees that they are.
void Session::publish(Examination& seen) {
  if (!seen.plan.missing.empty()) {
    create_publications(catalog(), seen.plan);
    log_->info("publication ready name={} tables={} append_only={}", options_.publication,
               seen.selection.keyed.size(), seen.selection.appended.size());
    seen.publications = read_publications(catalog(), options_.publication);
  }
  require(unpublished(seen.selection, seen.publications));
  captured_.clear();
  for (const CatalogTable* table : seen.selection.all()) {
    TableSchema& captured = captured_.emplace_back();
    captured.name = table->name;
    captured.source_id = table->oid;
  }
}

std::unique_ptr<ReplicationStream> Session::open_stream() {
  return stream_ ? std::move(stream_) : std::make_unique<ReplicationStream>(replication_options());
}

CreatedSlot Session::create_slot(ReplicationStream& stream) {
  try {
    return stream.create_slot(options_.slot, ReplicationStream::SlotLife::kPermanent,
                              ReplicationStream::Snapshot::kNone, kSlotPatience, interrupted());
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kTransient || interrupted().stop_requested()) {
      throw;
    }
    std::string blockers;
    for (const std::string& blocker : slot_blockers(catalog(), kSlotPatience)) {
      blockers += (blockers.empty() ? ": " : "; ") + blocker;
    }
    throw Error{error.kind(), error.what() + blockers, error.hint()};
  }
}

void Session::give_up() noexcept {
  stream_.reset();
  if (!created_slot_) {
    return;
  }
  try {
    drop_slot();
    created_slot_ = false;
    log_->info("replication slot dropped again name={} reason=\"no sink holds a position\"",
               options_.slot);
  } catch (const std::exception& error) {
    log_->warn(
        "replication slot {} keeps the source's log error=\"{}\" remedy=\"SELECT "
        "pg_drop_replication_slot('{}') if you give the pipeline up\"",
        options_.slot, error.what(), options_.slot);
  }
}

// The server takes a moment to let go of a stream that we have just closed.
void Session::drop_slot() {
  constexpr std::chrono::milliseconds kPause{50};
  const TimePoint deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (true) {
    try {
      catalog().exec("SELECT pg_drop_replication_slot($1)", {options_.slot}, "drop the slot");
      return;
    } catch (const Error& error) {
      if (std::chrono::steady_clock::now() > deadline) {
        throw;
      }
      std::this_thread::sleep_for(kPause);
    }
  }
}

void Session::verify(const SystemIdentity& identity, const Position& resume) {
  require_history(identity);
  std::vector<SinkStand> oldest;
  if (!resume.empty()) {
    oldest.push_back({"the pipeline", resume});
  }
  const auto slot = find_slot(catalog(), options_.slot);
  if (!slot && oldest.empty()) {
    throw Error{ErrorKind::kReread,
                fmt::format("source: replication slot {} is gone again", options_.slot)};
  }
  require(check_slot(slot, options_.slot, identity.database, identity.flushed_lsn, oldest));
  require_unread(*slot, options_.slot);
}

void Session::require_history(const SystemIdentity& identity) {
  if (identity.in_recovery) {
    require({standby_finding()});
  }
  const History now = read_history(identity).to_history();
  if (now != history_) {
    throw Error{
        ErrorKind::kReread,
        fmt::format("source: the server is another one, or was promoted: its history is {}, "
                    "ours was {}",
                    now.text, history_.text)};
  }
}

ServerHistory Session::read_history(const SystemIdentity& identity) {
  pq::Connection& connection = catalog();  // a new one may be to another database
  if (database_.empty()) {
    database_ = connection
                    .exec("SELECT oid FROM pg_database WHERE datname = current_database()",
                          "identify the database")
                    .text(0, 0);
  }
  return {identity.system_id, identity.timeline, database_};
}

// LSNs of one history only have an order. A promoted standby begins a new timeline, which shares
// the log of its parent up to where it left it.
Findings Session::check_history(ReplicationStream& stream, const ServerHistory& now,
                                const std::vector<SinkStand>& sinks) {
  Findings findings;
  const History history = now.to_history();
  std::optional<std::vector<TimelineSwitch>> switches;
  for (const SinkStand& stand : sinks) {
    if (stand.position.history == history) {
      continue;
    }
    if (!switches) {
      switches = stream.timeline_history(now.timeline);
    }
    if (continues(now, *switches, stand.position)) {
      findings.push_back(Finding::ok(
          fmt::format("source: the server was promoted (timeline {}), and holds all that {} holds",
                      now.timeline, stand.sink)));
      continue;
    }
    const auto theirs = parse_history(stand.position.history);
    const bool promoted = theirs && theirs->system_id == now.system_id &&
                          theirs->database == now.database && theirs->timeline < now.timeline;
    findings.push_back(Finding::error(
        promoted
            ? fmt::format("source: the server was promoted (timeline {}) without all that {} holds "
                          "of timeline {}: it stands at {}",
                          now.timeline, stand.sink, theirs->timeline, stand.position.to_string())
            : fmt::format("source: {} follows history {}, and this server's is {} (system, "
                          "timeline, database): their LSNs have no common order",
                          stand.sink, stand.position.history.text, history.text),
        promoted
            ? std::string("the sink may hold transactions that the source has lost: compare the "
                          "two, then give the pipeline another name and begin again with a "
                          "new copy")
            : std::string("point source.dsn to the server that this pipeline follows, or give "
                          "the pipeline another name"),
        ErrorKind::kPositionLost));
  }
  return findings;
}

std::vector<Session::CopyTable> Session::copy_tables(pq::Connection& connection,
                                                     const std::set<std::uint32_t>* only) {
  Findings findings;
  const Selection selection = select_tables(list_tables(connection, options_.publication), filter_,
                                            options_.keyless, findings);
  const Publications publications = read_publications(connection, options_.publication);
  std::vector<CopyTable> copies;
  for (const CatalogTable* table : selection.all()) {
    if (only != nullptr && !only->contains(table->oid)) {
      continue;
    }
    const PublishedTable* found = publications.find(table->oid);
    if (found == nullptr) {
      continue;  // its changes would never follow
    }
    CopyTable copy;
    copy.schema = std::make_shared<const TableSchema>(build_schema(
        connection, table->oid, table->name, table->identity,
        published_columns(connection, *table, found->columns), CatalogTime::kSame, seen_));
    copy.partitioned = table->partitioned;
    copy.row_filter = found->row_filter;
    copies.push_back(std::move(copy));
  }
  return copies;
}

// Asked while the stream is read: neither a server that hangs nor somebody's lock on a table may
// hold that up. The server gives up by itself first, so that no session of ours stays behind there.
template <typename Ask>
auto Session::ask_briefly(Ask ask) {
  pq::Connection& connection = catalog();
  connection.limit_answers(std::chrono::seconds(10));
  connection.exec("SET lock_timeout = '1s'; SET statement_timeout = '5s'", "limit a look");
  try {
    auto answer = ask(connection);
    connection.exec("RESET lock_timeout; RESET statement_timeout", "end a look");
    connection.limit_answers({});
    return answer;
  } catch (const Error&) {
    if (!connection.lost()) {
      connection.exec("RESET lock_timeout; RESET statement_timeout", "end a look");
      connection.limit_answers({});
    }
    throw;
  }
}

std::vector<Session::CopyTable> Session::describe_tables(const std::set<std::uint32_t>& oids) {
  return ask_briefly([&](pq::Connection& connection) { return copy_tables(connection, &oids); });
}

Session::CatalogShapes Session::table_shapes() {
  return ask_briefly([&](pq::Connection& connection) { return read_shapes(connection); });
}

Session::CatalogShapes Session::read_shapes(pq::Connection& connection) {
  CatalogShapes shapes;
  // The statement's snapshot is taken before it asks for the log's end. A column's missing value is
  // left out: it goes when the table is rewritten, which alters nothing.
  const pq::Result rows = connection.exec(
      "SELECT c.oid, p.schemaname, p.tablename, concat_ws(' ', c.relreplident, "
      "  (SELECT string_agg(concat_ws(' ', a.attnum, quote_ident(a.attname), a.atttypid, "
      "                               a.atttypmod), ',' ORDER BY a.attnum) "
      "   FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), "
      "  (SELECT string_agg(concat_ws(' ', i.indexrelid, i.indisprimary, i.indisreplident, "
      "                               i.indkey::text), ',' ORDER BY i.indexrelid) "
      "   FROM pg_index i WHERE i.indrelid = c.oid AND (i.indisprimary OR i.indisreplident))), "
      "pg_current_wal_insert_lsn(), coalesce(pg_relation_filenode(c.oid), 0), "
      "(SELECT max(a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid) "
      "FROM (SELECT DISTINCT schemaname, tablename FROM pg_publication_tables "
      "      WHERE pubname IN ($1, $2)) p "
      "JOIN pg_namespace n ON n.nspname = p.schemaname "
      "JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename",
      {options_.publication, append_name(options_.publication)}, "look at the tables");
  for (int row = 0; row < rows.rows(); ++row) {
    const TableName name{rows.text(row, 1), rows.text(row, 2)};
    shapes.lsn = LSN::parse(rows.value(row, 4)).to_postgres();
    if (filter_.matches(name)) {
      seen_.saw_storage(static_cast<std::uint32_t>(rows.integer(row, 0)),
                        static_cast<std::uint32_t>(rows.integer(row, 5)),
                        static_cast<std::uint32_t>(rows.integer(row, 6)));
      shapes.tables.push_back({static_cast<std::uint32_t>(rows.integer(row, 0)), name.to_string(),
                               name.to_string() + " " + rows.text(row, 3)});
    }
  }
  return shapes;
}

Session::StreamContent Session::look_at_tables() {
  pq::Connection& connection = catalog();
  std::vector<std::uint32_t> oids;
  std::vector<std::uint32_t> roots;
  for (const CatalogTable& table : list_tables(connection, options_.publication)) {
    if (filter_.matches(table.name)) {
      oids.push_back(table.oid);
      if (table.partitioned) {
        roots.push_back(table.oid);
      }
    }
  }
  postgres::look_at_tables(connection, oids, seen_);
  for (const std::uint32_t root : roots) {
    read_attributes(connection, root, seen_);  // for the storages of its partitions
  }
  StreamContent content;
  content.publications = publication_names(connection, options_.publication);
  content.binary = options_.binary && connection.server_version() >= 140000 &&
                   sends_binary_text(connection, options_.publication, oids);
  return content;
}

// The server writes the commit record, waits for synchronous standbys, and only then takes the
// transaction off the list of those in progress; walsenders read the record meanwhile.
void Session::wait_until_visible(std::uint32_t xid) {
  const TimePoint deadline = std::chrono::steady_clock::now() + kVisiblePatience;
  std::chrono::milliseconds pause{1};
  // The stream's ids have 32 bits, those of the functions 64; ids behind xmax have not ended.
  while (!catalog()
              .exec("SELECT (($1::bigint - txid_snapshot_xmax(s)) & 4294967295) >= 2147483648 "
                    "  AND NOT EXISTS (SELECT 1 FROM txid_snapshot_xip(s) x "
                    "                  WHERE x & 4294967295 = $1::bigint) "
                    "FROM txid_current_snapshot() s",
                    {std::to_string(xid)}, "look whether a commit is visible")
              .boolean(0, 0)) {
    if (std::chrono::steady_clock::now() > deadline) {
      throw Error{ErrorKind::kTransient,
                  fmt::format("source: transaction {} is committed in the log and has altered "
                              "tables, but the server does not show that to anyone yet",
                              xid),
                  "it waits for a standby (synchronous_standby_names): nothing can be read beyond "
                  "it until that confirms"};
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(2 * pause, std::chrono::milliseconds(50));
  }
}

TableSchemaPtr Session::schema_of(const RelationMessage& relation, std::uint32_t xid) {
  const TableName name{relation.schema.empty() ? "pg_catalog" : std::string(relation.schema),
                       std::string(relation.table)};
  if (!filter_.matches(name)) {
    return nullptr;
  }
  wait_until_visible(xid);
  std::vector<ColumnDescription> columns;
  for (const RelationColumn& column : relation.columns) {
    columns.push_back(
        {std::string(column.name), column.type_oid, column.type_modifier, column.identity});
  }
  return std::make_shared<const TableSchema>(build_schema(
      catalog(), relation.relation, name, relation.identity, columns, CatalogTime::kAhead, seen_));
}

}  // namespace headgate::source::postgres
