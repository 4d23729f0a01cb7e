#include "config/not_available.hpp"
#include "config/sections.hpp"

namespace headgate::config {

void read_alerts(const Section& root) {
  const std::vector<Section> alerts = root.sections("alerts");
  for (const Section& alert : alerts) {
    alert.required_choice("type", {"webhook"});
    alert.required_text("url_file");
  }
  if (!alerts.empty()) {
    root.fail("alerts", not_available("alerts"), "leave the key out, or write null");
  }
}

}  // namespace headgate::config
