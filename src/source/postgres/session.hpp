// What the capturers of one PostgreSQL source share: options, catalog connection, checks, history.

#pragma once

#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "core/position.hpp"
#include "db/pq/connection.hpp"
#include "pipeline/capturer.hpp"
#include "pipeline/finding.hpp"
#include "pipeline/table_filter.hpp"
#include "source/postgres/column_identity.hpp"
#include "source/postgres/options.hpp"
#include "source/postgres/pgoutput_decoder.hpp"
#include "source/postgres/publications.hpp"
#include "source/postgres/replication_stream.hpp"
#include "source/postgres/selection.hpp"
#include "source/postgres/server_check.hpp"
#include "source/postgres/slots.hpp"
#include "source/postgres/timeline.hpp"

namespace headgate::source::postgres {

// Not thread-safe but where it says so.
class Session {
 public:
  Session(Options options, Logger log);

  const Options& options() const { return options_; }

  // The catalog connection; connects (again) where it is lost.
  pq::Connection& catalog();

  // The server has ended the catalog connection, and it is not there again: it is shutting down,
  // most likely. Never waits.
  bool catalog_ended();

  // A walsender connection of ours: the one that prepare() has made for its questions, if nobody
  // has taken it yet, else a new one. What was asked through it may be old by now.
  std::unique_ptr<ReplicationStream> open_stream();

  // Checks server, tables, publication and slot without changing anything.
  Findings check(const std::vector<SinkStand>& sinks);

  // check(), then creates publication and slot where they are missing. Returns the history, in
  // which all the sinks may go on: that of their positions, or a successor of it.
  History prepare(const std::vector<SinkStand>& sinks);

  // From any thread: the process ends, so nothing here waits for others any more.
  void interrupt() noexcept { stop_.request_stop(); }
  std::stop_token interrupted() const { return stop_.get_token(); }

  // Drops the slot if this process has created it.
  void give_up() noexcept;

  // Before each START_REPLICATION. Throws Error{kReread} when the server's history is not the one
  // that prepare() found, which must then decide anew, and Error{kPositionLost} when the slot does
  // not reach back to `resume`.
  void verify(const SystemIdentity& identity, const Position& resume);

  // Throws Error{kReread} when the server's history is not the one that prepare() found, and what a
  // standby is refused with where it is one.
  void require_history(const SystemIdentity& identity);

  const History& history() const { return history_; }

  // The tables to copy: selected and published, with the published columns.
  struct CopyTable {
    TableSchemaPtr schema;
    bool partitioned = false;
    std::string row_filter;
  };
  // Through `connection`, so that it sees the catalog of that connection's snapshot.
  // `only`: of these OIDs; null: all.
  std::vector<CopyTable> copy_tables(pq::Connection& connection,
                                     const std::set<std::uint32_t>* only = nullptr);

  // What the catalog says of the captured tables, in a form that differs when a description does.
  struct TableShape {
    std::uint32_t oid = 0;
    std::string name;
    std::string shape;
  };
  struct CatalogShapes {
    std::vector<TableShape> tables;
    std::uint64_t lsn = 0;  // every transaction whose effect is in it was committed before this
  };
  // Throws Error also where somebody's lock is in the way, and soon.
  CatalogShapes table_shapes();
  // copy_tables() of some tables, with the same limits.
  std::vector<CopyTable> describe_tables(const std::set<std::uint32_t>& oids);

  // What a stream that begins now brings.
  struct StreamContent {
    std::vector<std::string> publications;  // those of ours that exist
    // Whether to ask for binary values: wanted, and every captured column has a form of it that all
    // parties can read.
    bool binary = false;
  };
  // Also remembers the columns and storages that the tables have now, so that what is altered from
  // here on can be told apart.
  StreamContent look_at_tables();

  // The schema of a Relation message of transaction `xid`; null when the table is not captured.
  //
  // The log has a commit before other sessions see it; the two are far apart where the commit waits
  // for a synchronous standby. What `xid` has altered is waited for, a few seconds; then throws
  // Error{kTransient}.
  TableSchemaPtr schema_of(const RelationMessage& relation, std::uint32_t xid);

  // A table with another column has appeared in the stream: text from the next connection on.
  void forbid_binary() { options_.binary = false; }

  // Selected and published when prepare() was done: names and OIDs.
  const std::vector<TableSchema>& captured_tables() const { return captured_; }

  // What a sink in the same database may not write to.
  bool captures(const TableName& table) const { return filter_.matches(table); }

 private:
  // What check() finds, and prepare() goes on with.
  struct Examination {
    Findings findings;
    // Of the rest, what a finding stopped us from looking at is empty.
    std::unique_ptr<ReplicationStream> stream;
    History history;
    bool has_slot = false;
    Publications publications;
    Selection selection;
    PublicationPlan plan;
  };

  template <typename Ask>
  auto ask_briefly(Ask ask);
  CatalogShapes read_shapes(pq::Connection& connection);
  void drop_slot();
  void wait_until_visible(std::uint32_t xid);
  pq::ConnectOptions replication_options() const;
  Examination examine(const std::vector<SinkStand>& sinks);
  std::optional<ServerFacts> look_at_server(Findings& findings);
  Findings check_replication(const std::vector<SinkStand>& sinks, Examination& seen);
  Findings check_tables(const std::vector<SinkStand>& sinks, Examination& seen);
  void recall_tables(std::vector<SinkStand> sinks);
  void publish(Examination& seen);
  void log_warnings(const Findings& findings);
  CreatedSlot create_slot(ReplicationStream& stream);
  std::vector<CatalogTable> candidates(const std::vector<CatalogTable>& all,
                                       const Publications& publications, bool following,
                                       Findings& findings);
  std::string why_not_captured(const CatalogTable& table, const Publications& publications);
  std::optional<Following> following(const std::vector<SinkStand>& sinks) const;
  Findings check_history(ReplicationStream& stream, const ServerHistory& now,
                         const std::vector<SinkStand>& sinks);
  ServerHistory read_history(const SystemIdentity& identity);

  Options options_;
  TableFilter filter_;
  Logger log_;
  std::stop_source stop_;
  std::unique_ptr<pq::Connection> catalog_;
  std::string database_;                       // the OID of catalog_'s; empty: not asked yet
  std::unique_ptr<ReplicationStream> stream_;  // of prepare(), until it is taken
  std::vector<TableSchema> captured_;
  History history_;
  SeenColumns seen_;
  bool created_slot_ = false;
  std::set<std::string> warned_of_;  // since the process started
};

}  // namespace headgate::source::postgres
