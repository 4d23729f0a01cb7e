// The file that `password_file` and `token_file` name.

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <optional>

#include <fmt/format.h>

#include "config/findings.hpp"
#include "config/secret_file.hpp"
#include "config/text.hpp"
#include "config/yaml_reader.hpp"
#include "fuzz_target.hpp"

namespace headgate::fuzz {
namespace {

// A file without a name in any folder.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view content) : file_(::memfd_create("secret", MFD_CLOEXEC)) {
    require(file_ >= 0 && ::fchmod(file_, 0600) == 0, "there is a file to read");
    const ssize_t written = ::write(file_, content.data(), content.size());
    require(written == static_cast<ssize_t>(content.size()), "there is room for the file");
  }
  ~MemoryFile() { ::close(file_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::string path() const { return fmt::format("/proc/self/fd/{}", file_); }

 private:
  int file_;
};

// What the file should be read as, by the contract's words.
std::optional<std::string> expected(std::string content) {
  constexpr std::size_t kBytesMax = 4096;
  if (content.size() > kBytesMax) {
    return std::nullopt;
  }
  for (const std::string_view end : {"\r\n", "\n"}) {
    if (content.ends_with(end)) {
      content.resize(content.size() - end.size());
      break;
    }
  }
  const bool is_text =
      content.find('\0') == std::string::npos && !config::find_invalid_utf8(content);
  return content.empty() || !is_text ? std::nullopt : std::optional(content);
}

}  // namespace

HEADGATE_FUZZ_TARGET(secret_file) {
  const MemoryFile file(input);
  config::Findings findings;
  config::YamlReader reader(config::parse_yaml("token_file: " + file.path(), findings), findings);
  const auto secret = config::read_secret_file(reader.root(), "token_file");
  require(secret == expected(std::string(input)), "a secret is the file less one line end");
  require(secret.has_value() == findings.empty(), "without a secret there is a finding");
  require(findings.describe("c.yml").find(kSecret) == std::string::npos,
          "a finding never holds what was read");
}

}  // namespace headgate::fuzz
