// Cost curves: one property of the data varies, all else stays, so that a knee shows.

#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "drain.hpp"

namespace headgate::bench {

struct CurvePoint {
  double x = 0;
  Workload workload;
  Contenders contenders;
};

struct Curve {
  std::string name;    // "row_width"
  std::string x_axis;  // "bytes a row"
  // Made one at a time, since a point's contenders and its closures need not live longer.
  std::vector<std::function<CurvePoint()>> points;
};

struct CurveOptions {
  std::uint64_t rows = 100'000;                    // of a point, where memory and time allow
  std::uint64_t transaction_rows_max = 1'000'000;  // where the curve of sizes ends
  std::string only{};                              // one curve's name; empty: all
};

// Row width, columns, tables, transaction size, indexes and foreign keys of the sink, round trip.
std::vector<Curve> curves(const CurveOptions& options);

// One measured point of one contender.
struct CurveFigure {
  std::string curve;
  std::string x_axis;
  double x = 0;
  std::string contender;
  double rows_per_second = 0;
  double bytes_per_second = 0;  // 0: not of interest on this curve
  double rss_peak_bytes = 0;    // 0: not known
  double foreign_cores = 0;
  bool refused = false;
};

std::vector<CurveFigure> measure(Stage& stage, const Curve& curve, const DrainOptions& options);

std::string to_csv(const std::vector<CurveFigure>& figures);
// A picture: for each curve its throughput and its memory, both axes logarithmic.
std::string to_svg(const std::vector<CurveFigure>& figures);

}  // namespace headgate::bench
