// Where rows and changes go while a table is copied in chunks, and what is remembered of it.

#include "pipeline/table_copies.hpp"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "altered_table.hpp"
#include "base/error.hpp"
#include "pipeline_fixture.hpp"

namespace headgate::pipeline_test {
namespace {

using Strings = std::vector<std::string>;
using Keys = std::vector<std::vector<std::string>>;

std::string rows_of(std::span<const Sink> operations) {
  std::string rows;
  for (const Sink& operation : operations) {
    rows += (rows.empty() ? "" : " ") + std::string(operation.data.front().bytes());
  }
  return rows;
}

// Keeps records as a database does, and notes what becomes of the staging table.
class StagingDriver final : public SinkDriver {
 public:
  Strings calls;
  std::map<std::string, TableRecord> records;
  bool table_is_there = false;

  SinkPosition check(Findings&) override { return {}; }
  SinkPosition connect() override { return {}; }
  void begin() override {}
  void prepare_table(const SinkConfigPtr& table, MissingTable missing) override {
    calls.push_back((missing == MissingTable::kCreate ? "create " : "use ") +
                    table->output.name.table);
  }
  TableRecords known_tables() override {
    TableRecords found;
    for (const auto& [id, record] : records) {
      found.push_back(record);
    }
    return found;
  }
  void remember_table(const TableRecord& record) override {
    records.insert_or_assign(record_id(record.source), record);
  }
  void forget_table(const TableRecord& record) override { records.erase(record_id(record.source)); }
  void prepare_copy(const SinkConfig&, ExistingRows) override {}
  void write(std::span<const Sink>) override {}
  void copy(std::span<const Sink>) override {}
  bool has_table(const TableName&) override { return table_is_there; }
  TableName staging_name(const SinkConfig& table) const override {
    return {table.output.name.schema, "staging"};
  }
  void check_copy_target(const SinkConfig&, ExistingRows existing) override {
    calls.push_back(existing == ExistingRows::kKeep ? "may hold rows" : "must be empty");
  }
  void drop_staging(const TableName& staging) override { calls.push_back("drop " + staging.table); }
  void copy_chunk(std::span<const Sink> operations, bool meets_rows) override {
    calls.push_back(operations.front().config->output.name.table + ": " + rows_of(operations) +
                    (meets_rows ? ", may be there" : ""));
  }
  void take_staging(std::span<const StagedTable> tables) override {
    for (const StagedTable& table : tables) {
      calls.push_back(table.staging.table + " to " + table.table->output.name.table +
                      (table.existing == ExistingRows::kReplace ? ", replaced" : ""));
    }
  }
  void commit(const CommitMark&) override {}
  void rollback() noexcept override {}
  bool commits_are_durable() const override { return true; }
  void flush() override {}
  void disconnect() noexcept override {}
};

// A sink whose table `items` is copied. Rows have a key and a value.
class Copy {
 public:
  StagingDriver driver;
  SchemaFollower tables{"business", driver, quiet()};
  TableCopies copies{"business", driver, tables, quiet()};
  SinkConfigPtr table = shared(described({column("id", 1, "text"), column("v", 2, "text")}));

  void connect() {
    tables.connected();
    copies.connected();
    driver.calls.clear();
  }

  void begin(ExistingRows existing = ExistingRows::kRefuse, bool missing_only = false) {
    copies.begin(table, existing, missing_only);
  }

  // A copy from begin to end of which readers have the rows.
  void have_table() {
    begin();
    chunk(1, {"a"}, {.last = true});
    end(10);
    driver.calls.clear();
  }

  void chunk(std::uint64_t number, const Strings& rows, CopyMark mark = {},
             Portion portion = Portion::kWhole) {
    Transaction transaction("copy", LSN::from_postgres(1), WallTime{});
    transaction.purpose = Purpose::kCopyChunk;
    transaction.portion = portion;
    transaction.copy = std::move(mark);
    transaction.copy.chunk = number;
    DataSet data;
    data.configs = {table};
    for (const std::string& row : rows) {
      const std::vector<Value> values{Value::text(row), Value::text("v")};
      data.operations.push_back(
          {table.get(), Operation::kInsert, transaction.copy_row(values), {}, false});
    }
    copies.write_chunk(transaction, data);
  }

  // What becomes of an operation: the tables it goes to.
  Strings route(Operation operation, const std::string& key, const std::string& key_before = {},
                bool complete = true) {
    Arena arena;
    const std::vector<Value> after{Value::text(key),
                                   complete ? Value::text("w") : Value::unchanged()};
    const std::vector<Value> before{Value::text(key_before), Value::null()};
    DataSet data;
    data.configs = {table};
    data.operations = {{table.get(), operation, Row{after},
                        key_before.empty() ? Row{} : Row{before}, !key_before.empty()}};
    copies.route(data);
    Strings went;
    for (const Sink& routed : data.operations) {
      went.push_back(routed.config->output.name.table);
    }
    return went;
  }

  void end(std::uint64_t at, CopyMark mark = {}) {
    Transaction transaction("copy", LSN::from_postgres(at), WallTime{});
    transaction.purpose = Purpose::kCopyEnd;
    transaction.copy = std::move(mark);
    copies.end(transaction, {}, position(at), ExistingRows::kRefuse);
  }

  std::string id() const { return record_id(table->output); }
  const TableRecord& record() const { return driver.records.at(id()); }
  const CopyProgress& progress() const { return *record().copy; }
};

std::optional<ErrorKind> kind_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.kind();
  }
  return std::nullopt;
}

const Strings kNowhere;

}  // namespace

TEST_CASE("rows are gathered beside the table, which comes when the last of them is there") {
  Copy copy;
  copy.begin();
  copy.chunk(1, {"a", "b"}, {.run = "r", .cursor = {"b"}});
  CHECK(copy.progress().chunks == 1);
  CHECK(copy.progress().cursor == Strings{"b"});
  CHECK(copy.progress().run == "r");
  CHECK(copy.progress().rows == 2);
  CHECK_FALSE(copy.progress().complete);
  copy.chunk(2, {"c"}, {.run = "r", .last = true});
  CHECK(copy.progress().rows == 3);
  CHECK(copy.progress().complete);
  copy.end(10);
  CHECK(copy.driver.calls == Strings{"must be empty", "drop staging", "create staging",
                                     "staging: a b", "staging: c", "staging to items"});
  CHECK_FALSE(copy.copies.any());
  CHECK_FALSE(copy.record().copy.has_value());
  CHECK(copy.record().consistent_from == position(10).to_string());
}

TEST_CASE("a chunk is there with its last portion") {
  Copy copy;
  copy.begin();
  copy.chunk(1, {"a", "b"}, {}, Portion::kFirst);
  CHECK(copy.progress().chunks == 0);
  copy.chunk(1, {"c"}, {}, Portion::kMiddle);
  copy.chunk(1, {"d"}, {.cursor = {"d"}}, Portion::kLast);
  CHECK(copy.progress().chunks == 1);
  CHECK(copy.progress().rows == 4);
}

TEST_CASE("of a table that readers have not, changes go beside it once rows of it are there") {
  Copy copy;
  copy.begin();
  CHECK(copy.route(Operation::kInsert, "a") == kNowhere);  // the first chunk brings it
  copy.chunk(1, {"a"});
  CHECK_FALSE(copy.progress().mixed);
  CHECK(copy.route(Operation::kInsert, "b") == Strings{"staging"});
  CHECK(copy.progress().mixed);
  CHECK(copy.route(Operation::kDelete, "b") == Strings{"staging"});
  copy.chunk(2, {"b"});
  CHECK(copy.driver.calls.back() == "staging: b, may be there");
}

TEST_CASE("of a table that readers have, changes go there too") {
  Copy copy;
  copy.have_table();
  copy.begin();
  CHECK(copy.progress().again);
  CHECK(copy.record().consistent_from == position(10).to_string());
  CHECK(copy.route(Operation::kInsert, "b") == Strings{"items"});
  copy.chunk(1, {"a"});
  CHECK(copy.route(Operation::kInsert, "c") == Strings{"items", "staging"});
  copy.chunk(2, {"d"}, {.last = true});
  copy.driver.calls.clear();
  copy.end(20);
  CHECK(copy.driver.calls == Strings{"use items", "staging to items, replaced"});
  CHECK(copy.record().consistent_from == position(20).to_string());
}

TEST_CASE("a copy goes on where the sink remembers it to be") {
  Copy copy;
  copy.begin();
  copy.chunk(1, {"a"});
  copy.route(Operation::kInsert, "b");
  copy.connect();
  CHECK(copy.copies.stand() == CopiesStand{{copy.id(), 1}});
  copy.chunk(2, {"b"});
  CHECK(copy.driver.calls == Strings{"use staging", "staging: b, may be there"});
  CHECK(copy.progress().chunks == 2);
}

TEST_CASE("a chunk that is there already is written over what is there") {
  Copy copy;
  copy.begin();
  copy.chunk(1, {"a"});
  copy.chunk(2, {"b"});
  copy.chunk(2, {"b", "c"});
  CHECK(copy.driver.calls.back() == "staging: b c, may be there");
  CHECK(copy.progress().chunks == 2);
  copy.chunk(3, {"d"});
  CHECK(copy.driver.calls.back() == "staging: d, may be there");
}

TEST_CASE("a first chunk begins the table again, whatever there was") {
  Copy copy;
  copy.begin();
  copy.chunk(1, {"a"});
  copy.chunk(2, {"b"}, {.last = true});
  copy.driver.calls.clear();
  copy.chunk(1, {"c"});
  CHECK(copy.driver.calls == Strings{"drop staging", "create staging", "staging: c"});
  CHECK(copy.progress().rows == 1);
  CHECK_FALSE(copy.progress().complete);
}

TEST_CASE("a chunk that does not follow the last one, or an end too early, is read again") {
  Copy copy;
  copy.begin();
  CHECK(kind_of([&] { copy.chunk(2, {"b"}); }) == ErrorKind::kReread);
  copy.chunk(1, {"a"});
  CHECK(kind_of([&] { copy.chunk(3, {"c"}); }) == ErrorKind::kReread);
  CHECK(kind_of([&] { copy.end(10); }) == ErrorKind::kReread);
  CHECK(copy.driver.calls.back() == "staging: a");
}

TEST_CASE("a row that moves without its large value is read again before the copy ends") {
  Copy copy;
  copy.begin();
  copy.chunk(1, {"a"});
  copy.route(Operation::kUpdateAfter, "c", "a", true);
  CHECK(copy.progress().moved == Keys{});
  copy.route(Operation::kUpdateAfter, "d", "b", false);
  CHECK(copy.progress().moved == Keys{{"d"}});
  copy.connect();
  copy.chunk(2, {"e"}, {.last = true, .later = {{"f"}}});
  CHECK(copy.progress().moved == Keys{{"d"}, {"f"}});
  CHECK(kind_of([&] { copy.end(10); }) == ErrorKind::kReread);
  copy.connect();
  copy.chunk(2, {"d"}, {.keys = {{"d"}, {"f"}}});
  CHECK(copy.driver.calls.back() == "staging: d, may be there");
  CHECK(copy.progress().moved == Keys{});
  CHECK(copy.progress().rows == 2);  // of chunks
  copy.end(10);
  CHECK_FALSE(copy.copies.any());
}

TEST_CASE("a table that the source alters is copied from its first chunk again") {
  Copy copy;
  copy.begin();
  copy.chunk(1, {"a"});
  copy.table =
      shared(described({column("id", 1, "text"), column("v", 2, "text"), column("w", 3, "text")}));
  CHECK(copy.route(Operation::kDelete, "a") == kNowhere);
  CHECK(copy.progress().chunks == 0);
  CHECK(kind_of([&] { copy.chunk(2, {"b"}); }) == ErrorKind::kReread);
  copy.chunk(1, {"c"});
  CHECK(copy.record().source.columns.size() == 3);
}

TEST_CASE("a cancelled copy leaves readers what they have, and tables that they have not go on") {
  Copy copy;
  SECTION("what they have") {
    copy.have_table();
    const TableRecord before = copy.record();
    copy.begin();
    copy.chunk(1, {"x"});
    copy.driver.calls.clear();
    copy.end(20, {.cancelled = true});
    CHECK(copy.driver.calls == Strings{"drop staging"});
    CHECK(copy.record() == before);
    CHECK_FALSE(copy.copies.any());
  }
  SECTION("what they have not") {
    copy.begin();
    copy.chunk(1, {"x"});
    CHECK(kind_of([&] { copy.end(20, {.cancelled = true}); }) == ErrorKind::kReread);
  }
}

TEST_CASE("a table that the source has dropped is copied no further") {
  Copy copy;
  SECTION("readers have it") {
    copy.have_table();
    copy.begin();
    copy.chunk(1, {}, {.gone = true});
    CHECK_FALSE(copy.record().copy.has_value());
    CHECK(copy.record().consistent_from == position(10).to_string());
  }
  SECTION("they have not") {
    copy.begin();
    copy.chunk(1, {}, {.gone = true});
    CHECK(copy.driver.records.empty());
  }
  CHECK(copy.driver.calls.back() == "drop staging");
  CHECK_FALSE(copy.copies.any());
  copy.chunk(2, {"late"});  // only the reply to that was lost
  CHECK(copy.driver.calls.back() == "drop staging");
}

TEST_CASE("only tables that are missing are copied where that was asked for") {
  Copy copy;
  SECTION("another's table of that name") {
    copy.driver.table_is_there = true;
  }
  SECTION("copied earlier") {
    copy.have_table();
  }
  copy.begin(ExistingRows::kRefuse, true);
  CHECK_FALSE(copy.copies.any());
}

TEST_CASE("of an end for some tables, the others are copied on") {
  Copy copy;
  copy.begin();
  copy.chunk(1, {"a"});
  SinkConfig other = *copy.table;
  other.output.source_id = 4712;
  const SinkConfigPtr items = copy.table;
  copy.table = shared(other);
  copy.begin();
  copy.chunk(1, {"b"}, {.last = true});
  Transaction end("copy", LSN::from_postgres(10), WallTime{});
  end.purpose = Purpose::kCopyEnd;
  end.copy.partial = true;
  auto ended = std::make_shared<TableSchema>(other.output);
  end.involve(ended);
  CHECK(copy.copies.wants(end, position(5)));
  copy.copies.end(end, {}, position(10), ExistingRows::kRefuse);
  CHECK_FALSE(copy.copies.wants(end, position(10)));
  copy.table = items;
  CHECK(copy.copies.stand() == CopiesStand{{copy.id(), 1}});
  copy.chunk(2, {"c"}, {.last = true});
  copy.end(20);
  CHECK_FALSE(copy.copies.any());
}

TEST_CASE("a sink with a position takes no part in a first copy of all tables") {
  Copy copy;
  Transaction begin("copy", LSN::from_postgres(1), WallTime{});
  begin.purpose = Purpose::kCopyBegin;
  begin.copy.initial = true;
  CHECK(copy.copies.wants(begin, Position{}));
  CHECK_FALSE(copy.copies.wants(begin, position(1)));
  begin.copy.initial = false;
  CHECK(copy.copies.wants(begin, position(1)));
}

}  // namespace headgate::pipeline_test
