// The picture of the curves, written by hand: a dozen small panels need no plotting program.

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "curves.hpp"

namespace headgate::bench {

namespace {

constexpr double kPanelWidth = 430;
constexpr double kPanelHeight = 230;
constexpr double kLeft = 70;
constexpr double kRight = 20;
constexpr double kTop = 36;
constexpr double kBottom = 44;
constexpr double kLegendHeight = 40;

struct Series {
  std::string contender;
  std::vector<std::pair<double, double>> points;  // x, y
};

std::string color_of(const std::string& contender) {
  if (contender.starts_with("subscription")) return "#888888";
  if (contender.ends_with("sqlite")) return "#d9822b";
  return "#1f6fb2";
}

std::string short_number(double value) {
  if (value >= 1e6) return fmt::format("{:g}M", value / 1e6);
  if (value >= 1e3) return fmt::format("{:g}k", value / 1e3);
  return fmt::format("{:g}", value);
}

std::string text_at(double x, double y, const std::string& anchor, const std::string& text,
                    const std::string& more = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\"{}>{}</text>\n", x, y,
                     anchor, more, text);
}

std::string line(double x1, double y1, double x2, double y2, const std::string& color) {
  return fmt::format(
      "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\"/>\n", x1, y1, x2,
      y2, color);
}

// One diagram. The values of x stand side by side at equal distances, since they grow by factors
// and some begin at 0; y is logarithmic over whole decades.
class Panel {
 public:
  Panel(double left, double top, std::string title, std::string x_axis, std::vector<Series> series)
      : left_(left),
        top_(top),
        title_(std::move(title)),
        x_axis_(std::move(x_axis)),
        series_(std::move(series)) {
    std::set<double> values;
    double least = 1e300;
    double most = 0;
    for (const Series& one : series_) {
      for (const auto& [x, y] : one.points) {
        values.insert(x);
        least = std::min(least, y);
        most = std::max(most, y);
      }
    }
    x_values_.assign(values.begin(), values.end());
    low_ = std::floor(std::log10(least));
    high_ = std::max(low_ + 1, std::ceil(std::log10(most)));
  }

  std::string draw() const {
    std::string svg = text_at(left_ + kLeft, top_ + 20, "start", title_, " font-weight=\"bold\"");
    for (double decade = low_; decade <= high_; ++decade) {
      const double y = y_of(std::pow(10, decade));
      svg += line(left_ + kLeft, y, left_ + kPanelWidth - kRight, y, "#dddddd");
      svg += text_at(left_ + kLeft - 6, y + 4, "end", short_number(std::pow(10, decade)));
    }
    for (const double x : x_values_) {
      svg += text_at(x_of(x), top_ + kPanelHeight - kBottom + 16, "middle", short_number(x));
    }
    svg += text_at(left_ + (kLeft + kPanelWidth - kRight) / 2, top_ + kPanelHeight - 10, "middle",
                   x_axis_);
    for (const Series& one : series_) {
      svg += draw(one);
    }
    return svg;
  }

 private:
  std::string draw(const Series& series) const {
    const std::string color = color_of(series.contender);
    std::string path;
    std::string dots;
    for (const auto& [x, y] : series.points) {
      path += fmt::format("{:.1f},{:.1f} ", x_of(x), y_of(y));
      dots += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"/>\n", x_of(x),
                          y_of(y), color);
    }
    return fmt::format("<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>\n",
                       path, color) +
           dots;
  }

  double x_of(double x) const {
    const auto place =
        std::distance(x_values_.begin(), std::find(x_values_.begin(), x_values_.end(), x));
    return left_ + kLeft +
           (static_cast<double>(place) + 0.5) * (kPanelWidth - kLeft - kRight) /
               static_cast<double>(x_values_.size());
  }
  double y_of(double y) const {
    const double share = (std::log10(y) - low_) / (high_ - low_);
    return top_ + kPanelHeight - kBottom - share * (kPanelHeight - kTop - kBottom);
  }

  double left_;
  double top_;
  std::string title_;
  std::string x_axis_;
  std::vector<Series> series_;
  std::vector<double> x_values_;
  double low_ = 0;
  double high_ = 1;
};

// Points without a value are left out.
template <typename Get>
std::vector<Series> series_of(const std::vector<CurveFigure>& figures, const std::string& curve,
                              Get get) {
  std::vector<Series> all;
  for (const CurveFigure& figure : figures) {
    if (figure.curve != curve || figure.refused || get(figure) <= 0) {
      continue;
    }
    auto series = std::find_if(all.begin(), all.end(), [&](const Series& one) {
      return one.contender == figure.contender;
    });
    if (series == all.end()) {
      series = all.insert(all.end(), Series{figure.contender, {}});
    }
    series->points.emplace_back(figure.x, get(figure));
  }
  return all;
}

std::vector<std::string> names_in_order(const std::vector<CurveFigure>& figures,
                                        std::string CurveFigure::*member) {
  std::vector<std::string> names;
  for (const CurveFigure& figure : figures) {
    if (std::find(names.begin(), names.end(), figure.*member) == names.end()) {
      names.push_back(figure.*member);
    }
  }
  return names;
}

std::string legend(const std::vector<CurveFigure>& figures) {
  std::string svg;
  double x = kLeft;
  for (const std::string& contender : names_in_order(figures, &CurveFigure::contender)) {
    svg += fmt::format("<rect x=\"{:.1f}\" y=\"14\" width=\"14\" height=\"14\" fill=\"{}\"/>\n", x,
                       color_of(contender));
    std::string shown = contender;
    if (const auto arrow = shown.find('>'); arrow != std::string::npos) {
      shown.replace(arrow, 1, "&gt;");
    }
    svg += text_at(x + 20, 26, "start", shown);
    x += 190;
  }
  return svg;
}

}  // namespace

std::string to_svg(const std::vector<CurveFigure>& figures) {
  const std::vector<std::string> curves = names_in_order(figures, &CurveFigure::curve);
  std::string body = legend(figures);
  double top = kLegendHeight;
  for (const std::string& curve : curves) {
    const auto named = std::find_if(figures.begin(), figures.end(), [&](const CurveFigure& figure) {
      return figure.curve == curve;
    });
    std::vector<Series> rates =
        series_of(figures, curve, [](const CurveFigure& figure) { return figure.rows_per_second; });
    std::vector<Series> memory = series_of(figures, curve, [](const CurveFigure& figure) {
      return figure.rss_peak_bytes / (1024.0 * 1024.0);
    });
    if (!rates.empty()) {
      body += Panel(0, top, curve + ": rows a second", named->x_axis, std::move(rates)).draw();
    }
    if (!memory.empty()) {
      body += Panel(kPanelWidth, top, curve + ": peak RSS, MiB", named->x_axis, std::move(memory))
                  .draw();
    }
    top += kPanelHeight;
  }
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" height=\"{1:.0f}\" "
      "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{0:.0f}\" height=\"{1:.0f}\" "
      "fill=\"white\"/>\n{2}</svg>\n",
      2 * kPanelWidth, top, body);
}

}  // namespace headgate::bench
