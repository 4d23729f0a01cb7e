#include "curves.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "demo/pg_session.hpp"

namespace headgate::bench {

namespace {

// Of all rows of a point: keeps wide rows within what a small machine copies in some seconds.
constexpr std::uint64_t kPointBytes = std::uint64_t{100} << 20;

Contenders all_contenders() {
  Contenders contenders;
  contenders.push_back(headgate_to_postgres());
  contenders.push_back(headgate_to_sqlite());
  contenders.push_back(subscription(false));
  return contenders;
}

Contenders postgres_contenders() {
  Contenders contenders;
  contenders.push_back(headgate_to_postgres());
  contenders.push_back(subscription(false));
  return contenders;
}

// `create` and `change` are scripts.
Workload scripted(const std::string& name, std::uint64_t rows, const std::string& create,
                  const std::string& change) {
  return {.name = name,
          .title = name,
          .unit = "rows",
          .units = static_cast<double>(rows),
          .create =
              [create](const std::string& conninfo) { demo::PgSession(conninfo).execute(create); },
          .change =
              [change](const std::string& conninfo) { demo::PgSession(conninfo).execute(change); }};
}

// Commits every `rows_per_transaction` of `rows` inserts into `tables`, round robin.
std::string insert_loop(std::uint64_t rows, std::uint64_t rows_per_transaction,
                        std::uint64_t tables) {
  return fmt::format(
      "DO $$ DECLARE first bigint := 1; BEGIN WHILE first <= {0} LOOP "
      "EXECUTE format('INSERT INTO %I SELECT i, i %% 1000, now(), md5(i::text) || md5((i + "
      "1)::text) "
      "FROM generate_series($1, $2) AS i', 'c' || (first / {1}) % {2}) "
      "USING first, least(first + {1} - 1, {0}); COMMIT; first := first + {1}; END LOOP; END $$",
      rows, rows_per_transaction, tables);
}

std::string curve_tables(std::uint64_t count) {
  std::string sql;
  for (std::uint64_t i = 0; i < count; ++i) {
    sql += fmt::format(
        "CREATE TABLE c{} (id bigint PRIMARY KEY, grp integer, ts timestamptz, payload text);", i);
  }
  return sql;
}

CurvePoint row_width(std::uint64_t width, const CurveOptions& options) {
  const std::uint64_t rows = std::clamp<std::uint64_t>(kPointBytes / width, 20, options.rows);
  // Not compressible, or TOAST would make it narrow again.
  const std::string value = fmt::format(
      "(SELECT string_agg(md5(i::text || j::text), '') FROM generate_series(1, {}) AS j)",
      std::max<std::uint64_t>(width / 32, 1));
  return {static_cast<double>(width),
          scripted("curve", rows,
                   "CREATE TABLE wide (id bigint PRIMARY KEY, payload text);"
                   "ALTER TABLE wide ALTER payload SET STORAGE EXTERNAL",
                   fmt::format("INSERT INTO wide SELECT i, {} FROM generate_series(1, {}) AS i",
                               value, rows)),
          all_contenders()};
}

CurvePoint columns(std::uint64_t count, const CurveOptions& options) {
  const std::uint64_t rows = std::max<std::uint64_t>(options.rows * 4 / count, 100);
  std::string definitions = "id bigint PRIMARY KEY";
  std::string values = "i";
  for (std::uint64_t i = 1; i < count; ++i) {
    definitions += fmt::format(", c{} integer", i);
    values += fmt::format(", i + {}", i);
  }
  return {static_cast<double>(count),
          scripted("curve", rows, fmt::format("CREATE TABLE many ({})", definitions),
                   fmt::format("INSERT INTO many SELECT {} FROM generate_series(1, {}) AS i",
                               values, rows)),
          all_contenders()};
}

CurvePoint tables(std::uint64_t count, const CurveOptions& options) {
  return {
      static_cast<double>(count),
      scripted("curve", options.rows, curve_tables(count), insert_loop(options.rows, 10, count)),
      all_contenders()};
}

CurvePoint transaction_size(std::uint64_t size, const CurveOptions& options) {
  const std::uint64_t rows = std::max(size, options.rows);
  return {static_cast<double>(size),
          scripted("curve", rows, curve_tables(1), insert_loop(rows, size, 1)), all_contenders()};
}

// 0 to 3 further indexes; 4 stands for one foreign key.
CurvePoint indexes(std::uint64_t count, const CurveOptions& options) {
  CurvePoint point{
      static_cast<double>(count),
      scripted("curve", options.rows, curve_tables(1), insert_loop(options.rows, 10, 1)),
      postgres_contenders()};
  constexpr std::uint64_t kForeignKey = 4;
  if (count == kForeignKey) {
    point.workload.sink_sql =
        "CREATE TABLE groups AS SELECT g AS grp FROM generate_series(0, 999) AS g;"
        "ALTER TABLE groups ADD PRIMARY KEY (grp);"
        "ALTER TABLE c0 ADD FOREIGN KEY (grp) REFERENCES groups";
  } else {
    for (const char* column : {"grp", "ts", "payload"}) {
      if (count-- == 0) {
        break;
      }
      point.workload.sink_sql += fmt::format("CREATE INDEX ON c0 ({});", column);
    }
  }
  return point;
}

CurvePoint round_trip(double milliseconds, std::uint64_t rows_per_transaction,
                      const CurveOptions& options) {
  CurvePoint point{milliseconds,
                   scripted("curve", options.rows, curve_tables(1),
                            insert_loop(options.rows, rows_per_transaction, 1)),
                   {}};
  HeadgateToPostgresOptions headgate;
  headgate.round_trip = milliseconds;
  point.contenders.push_back(headgate_to_postgres(headgate));
  return point;
}

using MakePoint = CurvePoint (*)(std::uint64_t, const CurveOptions&);

Curve curve(const std::string& name, const std::string& x_axis,
            const std::vector<std::uint64_t>& values, MakePoint make, const CurveOptions& options) {
  Curve made{name, x_axis, {}};
  for (const std::uint64_t value : values) {
    made.points.emplace_back([value, make, options] { return make(value, options); });
  }
  return made;
}

}  // namespace

std::vector<Curve> curves(const CurveOptions& options) {
  std::vector<std::uint64_t> sizes;
  for (std::uint64_t size = 1; size <= options.transaction_rows_max; size *= 10) {
    sizes.push_back(size);
  }
  std::vector<Curve> all;
  all.push_back(curve("row_width", "bytes a row", {100, 1'000, 10'000, 100'000, 1'000'000},
                      row_width, options));
  all.push_back(curve("columns", "columns", {4, 20, 100, 400}, columns, options));
  all.push_back(curve("tables", "tables", {1, 10, 100, 500}, tables, options));
  all.push_back(curve("transaction_size", "rows a transaction", sizes, transaction_size, options));
  all.push_back(curve("indexes", "further indexes at the sink (4: a foreign key instead)",
                      {0, 1, 2, 3, 4}, indexes, options));
  Curve trips{"round_trip", "added round trip to the sink in ms, 10 rows a transaction", {}};
  for (const double milliseconds : {0.0, 1.0, 10.0}) {
    trips.points.emplace_back(
        [milliseconds, options] { return round_trip(milliseconds, 10, options); });
  }
  all.push_back(std::move(trips));
  if (!options.only.empty()) {
    std::erase_if(all, [&](const Curve& candidate) { return candidate.name != options.only; });
  }
  return all;
}

std::vector<CurveFigure> measure(Stage& stage, const Curve& curve, const DrainOptions& options) {
  std::vector<CurveFigure> figures;
  for (const auto& make : curve.points) {
    CurvePoint point = make();
    fmt::print(stderr, "bench: {} = {:g}\n", curve.name, point.x);
    PreparedWorkload prepared(stage, point.workload);
    const DrainReport report = drain(prepared, point.contenders, options);
    for (const DrainResult& result : report.results) {
      CurveFigure figure{curve.name, curve.x_axis, point.x, result.contender};
      figure.refused = !result.counts();
      if (result.counts()) {
        // Without the start, which would hide what the curve is about.
        figure.rows_per_second =
            report.workload.units / (result.seconds() - result.start_seconds());
        figure.bytes_per_second = curve.name == "row_width" ? figure.rows_per_second * point.x : 0;
      }
      figure.rss_peak_bytes = result.rss_peak_bytes();
      figure.foreign_cores = result.foreign_cores();
      figures.push_back(figure);
    }
  }
  return figures;
}

std::string to_csv(const std::vector<CurveFigure>& figures) {
  std::string text =
      "curve,x_axis,x,contender,rows_per_second,bytes_per_second,rss_peak_bytes,foreign_cores,"
      "refused\n";
  for (const CurveFigure& figure : figures) {
    text += fmt::format("{},\"{}\",{:g},{},{:.0f},{:.0f},{:.0f},{:.2f},{}\n", figure.curve,
                        figure.x_axis, figure.x, figure.contender, figure.rows_per_second,
                        figure.bytes_per_second, figure.rss_peak_bytes, figure.foreign_cores,
                        figure.refused ? "yes" : "");
  }
  return text;
}

}  // namespace headgate::bench
