#include "config/not_available.hpp"
#include "config/sections.hpp"

namespace headgate::config {

void read_skills(const Section& root) {
  only_null(root.section("skills"), "path", "skills");
}

}  // namespace headgate::config
