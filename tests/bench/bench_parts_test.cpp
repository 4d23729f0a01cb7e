// What the bench's figures rest on, without servers.

#include <catch2/catch.hpp>

#include "curves.hpp"
#include "drain.hpp"
#include "fingerprint.hpp"
#include "machine.hpp"
#include "report.hpp"
#include "statistics.hpp"
#include "support/sqlite_file.hpp"
#include "support/temp_dir.hpp"

namespace headgate::bench {
namespace {

Fingerprint fingerprint_of(const std::vector<std::string>& lines) {
  Fingerprint made;
  for (const std::string& line : lines) {
    made.add(line);
  }
  return made;
}

DrainSample sample_of(double seconds) {
  DrainSample sample;
  sample.seconds = seconds;
  return sample;
}

DrainReport drain_of(const std::string& workload, double ours, double theirs) {
  DrainReport report;
  report.workload.name = workload;
  report.workload.units = 100;
  report.results.push_back({"subscription", {sample_of(theirs)}});
  report.results.push_back({"headgate > postgres", {sample_of(ours)}});
  return report;
}

const Target* target_named(const std::vector<Target>& all, const std::string& what) {
  for (const Target& target : all) {
    if (target.what == what) {
      return &target;
    }
  }
  return nullptr;
}

TEST_CASE("the median of an even number of samples lies between the middle two") {
  CHECK(median({}) == 0);
  CHECK(median({3}) == 3);
  CHECK(median({9, 1, 5}) == 5);
  CHECK(median({4, 1, 2, 9}) == 3);
}

TEST_CASE("a percentile is a sample, and the last one is the worst") {
  std::vector<double> hundred;
  for (int i = 100; i > 0; --i) {
    hundred.push_back(i);
  }
  CHECK(percentile(hundred, 0.5) == 50);
  CHECK(percentile(hundred, 0.99) == 99);
  CHECK(percentile(hundred, 1) == 100);
  CHECK(percentile(hundred, 0) == 1);
  CHECK(percentile({1, 2, 3}, 0.5) == 2);
  CHECK(percentile({}, 0.5) == 0);
}

// The name of a process may hold spaces and parentheses, as those of PostgreSQL's do.
TEST_CASE("times are read behind the name of a process, whatever that holds") {
  const ProcessStat stat = parse_process_stat(
      "42 (postgres: (x) y) S 7 42 42 0 -1 4194560 1 2 3 4 100 200 300 400 20 0 1 0 5 6 7");
  CHECK(stat.parent == 7);
  CHECK(stat.own_seconds == Approx(3));
  CHECK(stat.reaped_seconds == Approx(7));
  CHECK_THROWS(parse_process_stat("42 (cut"));
  CHECK_THROWS(parse_process_stat("42 (cut) S 7 1 2"));
}

TEST_CASE("a fingerprint does not depend on the order of rows, but on every byte and row") {
  const Fingerprint one = fingerprint_of({"1\tabc", "2\tabcdefgh", "3\t"});
  CHECK(one == fingerprint_of({"3\t", "1\tabc", "2\tabcdefgh"}));
  CHECK(one != fingerprint_of({"1\tabc", "2\tabcdefgi", "3\t"}));
  CHECK(one != fingerprint_of({"1\tabc", "2\tabcdefgh"}));
  CHECK(one != fingerprint_of({"1\tabc", "2\tabcdefgh", "3\t", "3\t"}));
  CHECK(fingerprint_of({"1\t2"}) != fingerprint_of({"12\t"}));
  CHECK(fingerprint_of({"3\t", "3\t"}) != fingerprint_of({}));
  CHECK(fingerprint_of({"3\t", "3\t"}) != fingerprint_of({"4\t", "4\t"}));
  const std::string row = "1\tevery byte of a row counts";
  for (std::size_t i = 0; i < row.size(); ++i) {
    std::string other = row;
    other[i] = '#';
    CHECK(fingerprint_of({other}) != fingerprint_of({row}));
  }
}

// COPY's text is the common form of both sides.
TEST_CASE("a SQLite table has the fingerprint of its rows as COPY prints them") {
  const test::TempDir folder;
  const std::string path = folder.path("a.db");
  test::SqliteFile(path).execute(
      "CREATE TABLE t (id INTEGER, \"order\" TEXT);"
      "INSERT INTO t VALUES (1, 'a' || char(9) || 'b\\'), (2, NULL), (3, '')");
  const TableColumns tables{{"t", {"id", "order"}}};
  const Fingerprints found = sqlite_fingerprints(path, tables);
  CHECK(found.at("t") == fingerprint_of({"1\ta\\tb\\\\", "2\t\\N", "3\t"}));
  CHECK_THROWS(sqlite_fingerprints(path, {{"gone", {"id"}}}));
}

TEST_CASE("sinks that differ from the source are told apart by table") {
  const Fingerprints source{{"a", {2, 5}}, {"b", {1, 7}}};
  CHECK(differences(source, source).empty());
  CHECK(differences(source, {{"a", {2, 5}}}).find("table b is missing") != std::string::npos);
  CHECK(differences(source, {{"a", {3, 5}}, {"b", {1, 7}}}).find("table a has 3 rows") !=
        std::string::npos);
  CHECK(differences(source, {{"a", {2, 6}}, {"b", {1, 7}}}).find("other values") !=
        std::string::npos);
}

TEST_CASE("neither refused nor disturbed samples count for a median") {
  DrainResult result{"x", {sample_of(1), sample_of(10), sample_of(3), sample_of(5)}};
  result.samples[0].refused = "table t is missing";
  result.samples[1].disturbed = true;
  CHECK(result.seconds() == 4);
  CHECK(result.refused());
  CHECK_FALSE(result.disturbed());
}

TEST_CASE("where all samples were disturbed they count, and the result says so") {
  DrainResult result{"x", {sample_of(2), sample_of(4)}};
  result.samples[0].disturbed = true;
  result.samples[1].disturbed = true;
  CHECK(result.seconds() == 3);
  CHECK(result.disturbed());
  result.samples[0].refused = "no";
  result.samples[1].refused = "no";
  CHECK_FALSE(result.counts());
}

TEST_CASE("a ratio says how many times as fast as the subscription it was") {
  Report report;
  report.drains.push_back(drain_of("w2", 2, 3));
  const std::vector<Target> all = targets(report);
  const Target* ratio = target_named(all, "w2: headgate > postgres, times subscription");
  REQUIRE(ratio != nullptr);
  CHECK(ratio->measured == Approx(1.5));
  CHECK(ratio->outcome() == "must");
  CHECK(target_named(all, "w3: headgate > postgres, times subscription") == nullptr);
}

TEST_CASE("a figure that was refused has no ratio, and the table says why") {
  Report report;
  report.drains.push_back(drain_of("w2", 2, 3));
  report.drains.front().results[1].samples.front().refused = "table t4 has 3 rows";
  CHECK(report.refused());
  CHECK(target_named(targets(report), "w2: headgate > postgres, times subscription") == nullptr);
  CHECK(to_markdown(report).find("REFUSED: table t4 has 3 rows") != std::string::npos);
  CHECK(to_json(report).find("table t4 has 3 rows") != std::string::npos);
}

TEST_CASE("an outcome depends on which side is better") {
  CHECK(Target{"", 1.4, 1.2, 1.35}.outcome() == "aim");
  CHECK(Target{"", 1.2, 1.2, 1.35}.outcome() == "must");
  CHECK(Target{"", 1.1, 1.2, 1.35}.outcome() == "missed");
  CHECK(Target{"", 60, 96, 64, true}.outcome() == "aim");
  CHECK(Target{"", 97, 96, 64, true}.outcome() == "missed");
}

TEST_CASE("the picture has a line per contender and diagram, and leaves refused points out") {
  std::vector<CurveFigure> figures;
  for (const char* contender : {"headgate > postgres", "subscription"}) {
    for (const double x : {0.0, 1.0, 10.0}) {
      CurveFigure figure{"trip", "ms", x, contender};
      figure.rows_per_second = 1000 + x;
      figures.push_back(figure);
    }
  }
  figures.back().refused = true;
  const std::string svg = to_svg(figures);
  const auto count = [&](const std::string& what) {
    std::size_t found = 0;
    for (auto at = svg.find(what); at != std::string::npos; at = svg.find(what, at + 1)) {
      ++found;
    }
    return found;
  };
  CHECK(count("<polyline") == 2);  // memory is not known here
  CHECK(count("<circle") == 5);
  CHECK(svg.find("nan") == std::string::npos);
}

}  // namespace
}  // namespace headgate::bench
