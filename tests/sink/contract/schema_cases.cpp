// What a sink remembers of its tables, and how it alters them: in the transaction of the rows that
// come with it, or not at all.

#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "contract_case.hpp"

namespace headgate::sink_contract {
namespace {

constexpr const char* kTable = "altered";

Column column(const std::string& name, std::uint32_t source_id, TypeFamily family = TF::kText) {
  SinkConfigPtr plain = table_of(kTable, {{name, family}}, {});
  Column made = plain->output.columns[0];
  made.source_id = source_id;
  return made;
}

Column filled(Column made, const std::string& text) {
  made.fill = {ColumnFill::Kind::kText, text};
  return made;
}

SinkConfigPtr described(const std::vector<Column>& columns, std::vector<std::size_t> key = {0},
                        const std::string& name = kTable) {
  SinkConfig config = *table_of(name, {{"id", TF::kInteger}}, {});
  config.source = {"shop", name};
  config.output.source_id = 4711;
  config.output.columns = columns;
  config.output.key = std::move(key);
  for (const std::size_t place : config.output.key) {
    config.output.columns[place].nullable = false;
  }
  return std::make_shared<const SinkConfig>(std::move(config));
}

const Column kId = column("id", 1, TF::kInteger);

// A table of two rows, (1, one, 10) and (2, NULL, 20), and its record.
class AlteredCase : public ContractCase {
 public:
  AlteredCase() {
    const Operations rows = [&] {
      Operations made;
      made.insert(before, {"1", "one", "10"}).insert(before, {"2", kNull, "20"});
      return made;
    }();
    write(rows);
    driver->remember_table(record_of(*before));
    driver->commit(mark_at(++lsn));
  }

  // As SchemaFollower does, up to the rows.
  void alter(const SinkConfigPtr& now) {
    driver->begin();
    const AlterationPlan plan = driver->plan_alteration(*now, record_of(*before));
    REQUIRE(plan.obstacle == "");
    driver->alter_table(plan);
    driver->prepare_table(now, MissingTable::kRefuse);
    driver->remember_table(record_of(*now));
  }
  void commit() { driver->commit(mark_at(++lsn)); }

  std::string obstacle(const SinkConfigPtr& now) {
    driver->begin();
    const std::string why = driver->plan_alteration(*now, record_of(*before)).obstacle;
    driver->rollback();
    return why;
  }

  const SinkConfigPtr before = described({kId, column("a", 2), column("b", 3, TF::kInteger)});
  std::uint64_t lsn = 0x100;
};

}  // namespace

TEST_CASE("a table's record is there after the commit, also for the next session") {
  ContractCase setup;
  CHECK(setup.driver->known_tables().empty());
  const SinkConfigPtr table = described({kId, column("a \"b\" 'c' \\ \n é", 2)});
  setup.driver->begin();
  setup.driver->remember_table(record_of(*table));
  setup.driver->commit(mark_at(0x100));
  CHECK(setup.driver->known_tables() == TableRecords{record_of(*table)});
  setup.reconnect();
  CHECK(setup.driver->known_tables() == TableRecords{record_of(*table)});
}

TEST_CASE("a record that was rolled back was never there") {
  ContractCase setup;
  const SinkConfigPtr table = described({kId});
  const SinkConfigPtr wider = described({kId, column("a", 2)});
  setup.driver->begin();
  setup.driver->remember_table(record_of(*table));
  setup.driver->rollback();
  setup.reconnect();
  CHECK(setup.driver->known_tables().empty());

  setup.driver->begin();
  setup.driver->remember_table(record_of(*table));
  setup.driver->commit(mark_at(0x100));
  setup.driver->begin();
  setup.driver->remember_table(record_of(*wider));
  setup.driver->rollback();
  setup.reconnect();
  CHECK(setup.driver->known_tables() == TableRecords{record_of(*table)});
}

TEST_CASE("a table has one record, and each table its own") {
  ContractCase setup;
  SinkConfig other = *described({kId}, {0}, "other");
  other.output.source_id = 4712;
  const SinkConfigPtr wider = described({kId, column("a", 2)}, {0}, "renamed");
  setup.driver->begin();
  setup.driver->remember_table(record_of(*described({kId})));
  setup.driver->remember_table(record_of(other));
  setup.driver->remember_table(record_of(*wider));
  setup.driver->commit(mark_at(0x100));
  CHECK(setup.driver->known_tables() == TableRecords{record_of(*wider), record_of(other)});
}

TEST_CASE("columns are added with what older rows had, dropped and renamed") {
  AlteredCase setup;
  const SinkConfigPtr now = described(
      {kId, column("aa", 2), filled(column("c", 4), "it's {\"\\x\"} é"),
       filled(column("d", 5, TF::kInteger), "-7"), column("e", 6), filled(column("f", 7), "")});
  setup.alter(now);
  Operations later;
  later.insert(now, {"3", "three", kNull, "0", "e", kNull})
      .erase(now, {"2", "", "", "", "", ""}, true);
  setup.driver->write(later.all());
  setup.commit();
  CHECK(setup.rows(now) == Strings{"1|one|it's {\"\\x\"} é|-7|~|", "3|three|~|0|e|~"});
  setup.reconnect();
  CHECK(setup.driver->known_tables() == TableRecords{record_of(*now)});
  Operations after;
  after.insert(now, {"4", kNull, kNull, kNull, kNull, kNull});
  setup.apply(after, ++setup.lsn);
  CHECK(setup.rows(now)[2] == "4|~|~|~|~|~");
}

TEST_CASE("an alteration that is rolled back has not happened") {
  AlteredCase setup;
  const SinkConfigPtr now = described({kId, filled(column("c", 4), "new")});
  const Strings rows = setup.rows(setup.before);
  setup.alter(now);
  Operations later;
  later.insert(now, {"3", "three"});
  setup.driver->write(later.all());
  setup.driver->rollback();
  setup.reconnect();
  CHECK(setup.rows(setup.before) == rows);
  CHECK(setup.driver->known_tables() == TableRecords{record_of(*setup.before)});
  // And can be done again, by the same driver or another one.
  setup.alter(now);
  setup.driver->write(later.all());
  setup.commit();
  CHECK(setup.rows(now) == Strings{"1|new", "2|new", "3|three"});
}

TEST_CASE("a new key is the one by which rows are found") {
  AlteredCase setup;
  const SinkConfigPtr now = described({kId, column("a", 2), column("b", 3, TF::kInteger)}, {2});
  setup.alter(now);
  Operations later;
  later.update(now, {"9", "changed", "10"}).insert(now, {"9", "same id", "30"});
  setup.driver->write(later.all());
  setup.commit();
  CHECK(setup.rows(now) == Strings{"2|~|20", "9|changed|10", "9|same id|30"});
}

TEST_CASE("columns that swap their names keep their values") {
  AlteredCase setup;
  const SinkConfigPtr now = described({kId, column("b", 2), column("a", 3, TF::kInteger)});
  setup.alter(now);
  setup.commit();
  CHECK(setup.rows(now) == Strings{"1|one|10", "2|~|20"});
}

TEST_CASE("a renamed table keeps its rows") {
  AlteredCase setup;
  const SinkConfigPtr now =
      described({kId, column("a", 2), column("b", 3, TF::kInteger)}, {0}, "Re \"named\"");
  setup.alter(now);
  setup.commit();
  CHECK(setup.rows(now) == Strings{"1|one|10", "2|~|20"});
  CHECK_FALSE(setup.sink->has_table(*setup.before));
}

TEST_CASE("values that nobody can know are an obstacle, unless there is no row") {
  AlteredCase setup;
  Column unknown = column("c", 4);
  unknown.fill.kind = ColumnFill::Kind::kUnknown;
  const SinkConfigPtr now = described({kId, column("a", 2), column("b", 3, TF::kInteger), unknown});
  CHECK(setup.obstacle(now) != "");
  Operations none;
  none.truncate(setup.before);
  setup.apply(none, ++setup.lsn);
  CHECK(setup.obstacle(now) == "");
}

// A person was quicker. What their column holds may be right, or something of their own.
TEST_CASE("a new column that is there already must hold what the source gave the rows") {
  AlteredCase setup;
  const SinkConfigPtr by_hand = described(
      {kId, column("a", 2), column("b", 3, TF::kInteger), filled(column("c", 9), "theirs")});
  setup.alter(by_hand);
  setup.commit();
  const auto with = [&](const Column& added) {
    return described({kId, column("a", 2), column("b", 3, TF::kInteger), added});
  };
  CHECK(setup.obstacle(with(column("c", 4))) != "");
  CHECK(setup.obstacle(with(filled(column("c", 4), "ours"))) != "");
  CHECK(setup.obstacle(with(filled(column("c", 4), "theirs"))) == "");
  setup.alter(with(filled(column("c", 4), "theirs")));
  setup.commit();
  CHECK(setup.rows(by_hand) == Strings{"1|one|10|theirs", "2|~|20|theirs"});
}

TEST_CASE("what is forgotten by the statement for people is forgotten") {
  AlteredCase setup;
  CHECK(setup.driver->forget_statement(record_of(*setup.before)).find("id:4711") !=
        std::string::npos);
  const AlterationPlan plan{{setup.driver->forget_statement(record_of(*setup.before))}, {}};
  setup.driver->begin();
  setup.driver->alter_table(plan);
  setup.commit();
  setup.reconnect();
  CHECK(setup.driver->known_tables().empty());
}

TEST_CASE("a table in place of another one is never made without a person") {
  AlteredCase setup;
  SinkConfig other = *described({column("n", 1)}, {0});
  other.output.source_id = 5000;
  setup.driver->begin();
  const AlterationPlan plan = setup.driver->plan_replacement(other, record_of(*setup.before));
  CHECK(plan.obstacle != "");
  // What is shown to the person does it.
  setup.driver->alter_table(plan);
  setup.driver->prepare_table(std::make_shared<const SinkConfig>(other), MissingTable::kRefuse);
  setup.commit();
  CHECK(setup.rows(std::make_shared<const SinkConfig>(other)).empty());
}

}  // namespace headgate::sink_contract
