#include "support/mirrored_bank.hpp"

#include <stdexcept>

#include "db/odbc/connection_string.hpp"

namespace headgate::test {
namespace {

using sqlserver::Drop;
using sqlserver::ErrorPlace;

std::string by_port(const std::string& connection_string, int port) {
  odbc::ConnectionString parsed(connection_string, "test");
  parsed.set("Port", std::to_string(port));
  std::string culprit;
  return parsed.render(odbc::BraceRule::kStandard, &culprit).value();
}

}  // namespace

const std::vector<FaultWay>& fault_ways() {
  static const std::vector<FaultWay> ways = {
      {"cut before it runs", 0, ErrorPlace::kInstead, Drop::kBeforeRunning},
      {"cut before the answer", 0, ErrorPlace::kInstead, Drop::kBeforeReply},
      {"cut between rows", 0, ErrorPlace::kInstead, Drop::kInRows},
      {"cut within a row", 0, ErrorPlace::kInstead, Drop::kInsideRow},
      {"cut behind the answer", 0, ErrorPlace::kInstead, Drop::kAfterReply},
      {"deadlock", 1205, ErrorPlace::kInstead, Drop::kNever},
      {"deadlock behind some rows", 1205, ErrorPlace::kAfterRows, Drop::kNever},
      {"deadlock behind all rows", 1205, ErrorPlace::kAfterResult, Drop::kNever},
      {"lock not granted", 1222, ErrorPlace::kInstead, Drop::kNever},
      {"snapshot undone", 3961, ErrorPlace::kAfterRows, Drop::kNever},
  };
  return ways;
}

sqlserver::Fault fault_of(const FaultWay& way, std::size_t rows) {
  sqlserver::Fault fault;
  fault.rows = rows;
  fault.drop = way.drop;
  fault.error_place = way.place;
  if (way.error != 0) {
    fault.error = sqlserver::SqlError(way.error, "scripted", 13);
  }
  return fault;
}

MirroredBank::MirroredBank(const MirroredBankOptions& options)
    : cluster_({.fsync = false}),
      bank_(database_, options.seed),
      gate_(options.gate ? std::make_unique<TcpGate>(server().port()) : nullptr),
      path_(folder_.path("mirror.db")),
      daemon_(folder_, config(options)),
      file_(sqlite_bank(path_)),
      server_(postgres_bank(cluster_.conninfo())) {
  daemon_.start();
  daemon_.wait_ready();
  bank_.open_accounts();
  bank_.transfer();
  wait_equal();
}

PipelineConfig MirroredBank::config(const MirroredBankOptions& options) {
  PipelineConfig config =
      bank_.config({sqlite_sink("file", path_), postgres_sink("server", cluster_.conninfo())});
  config.source_keys = options.source_keys;
  if (gate_) {
    config.source_dsn = by_port(config.source_dsn, gate_->port());
  }
  return config;
}

void MirroredBank::wait_equal(Duration timeout) {
  headgate::test::wait_equal(bank_, database_, daemon_, {file_.get(), server_.get()}, timeout);
  check_readers();
}

void MirroredBank::wait_struck(sqlserver::FaultId fault, unsigned times) {
  daemon_.wait_until("the fault to strike", std::chrono::seconds(60),
                     [&] { return faults().struck(fault) >= times || !daemon_.running(); });
}

void MirroredBank::check_readers() {
  for (BankMirror* mirror : {file_.get(), server_.get()}) {
    if (const std::string seen = mirror->reader().violations(); !seen.empty()) {
      throw std::runtime_error("a reader has seen a transaction in part: " + seen);
    }
  }
}

void MirroredBank::finish(std::uint64_t rounds) {
  wait_equal();
  for (BankMirror* mirror : {file_.get(), server_.get()}) {  // neither is blind
    daemon_.wait_until("a reader's answers", std::chrono::seconds(30),
                       [&] { return mirror->reader().rounds() > rounds; });
  }
  check_readers();
}

}  // namespace headgate::test
