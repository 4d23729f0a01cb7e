#include "config/findings.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

#include <fmt/format.h>

namespace headgate::config {
namespace {

constexpr std::size_t kDescribedMax = 100;
constexpr std::size_t kKeptMax = 1000;

}  // namespace

std::string joined_key(const std::string& path, std::string_view key) {
  return path.empty() ? std::string(key) : fmt::format("{}.{}", path, key);
}

void Findings::add(Place place, std::string message, std::string remedy) {
  ++count_;
  if (findings_.size() < kKeptMax) {
    findings_.push_back({std::move(place), std::move(message), std::move(remedy)});
  }
}

std::string Findings::describe(const std::string& file) const {
  std::vector<Finding> sorted = findings_;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Finding& a, const Finding& b) { return a.place.line < b.place.line; });

  std::string text;
  for (std::size_t i = 0; i < sorted.size() && i < kDescribedMax; ++i) {
    text += text.empty() ? "" : "\n";
    text += config::describe(file, sorted[i].place, sorted[i].message);
    if (!sorted[i].remedy.empty()) {
      text += "\n  " + sorted[i].remedy;
    }
  }
  if (count_ > kDescribedMax) {
    text += fmt::format("\n{}: and {} more", file, count_ - kDescribedMax);
  }
  return text;
}

std::string describe(const std::string& file, const Place& place, const std::string& message) {
  std::string text = file;
  if (place.line > 0) {
    text += fmt::format(":{}", place.line);
  }
  if (place.column > 0) {
    text += fmt::format(":{}", place.column);
  }
  text += ": ";
  if (!place.key.empty()) {
    text += place.key + ": ";
  }
  return text + message;
}

}  // namespace headgate::config
