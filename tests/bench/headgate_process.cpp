#include "headgate_process.hpp"

#include <elf.h>
#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>

#include "support/daemon.hpp"

namespace headgate::bench {

namespace {

constexpr Duration kEndPatience = std::chrono::minutes(2);

// Between two answers of the daemon nothing has changed that is of interest, so its log need not
// say more than it does for users.
std::string config_text(const HeadgateSetup& setup, const std::string& storage,
                        const std::string& socket) {
  std::string text = "pipeline: bench\n";
  if (!setup.other_source.empty()) {
    text += "source: { " + setup.other_source + " }\n";
  } else {
    text +=
        fmt::format("source:\n  type: postgres\n  dsn: \"{}\"\n  slot: {}\n  publication: bench\n",
                    setup.source, setup.slot);
    if (!setup.decoding_work_mem.empty()) {
      text += "  decoding_work_mem: " + setup.decoding_work_mem + "\n";
    }
    text += fmt::format("snapshot: {{ method: {} }}\n", setup.snapshot_method);
  }
  text += fmt::format("tables: [\"{}\"]\nsinks:\n", setup.tables);
  for (const std::string& sink : setup.sinks) {
    text += "  - " + sink + "\n";
  }
  return text +
         fmt::format("storage: {{ dir: \"{}\" }}\nhttp: {{ listen: \"unix:{}\" }}\n", storage,
                     socket) +
         setup.more;
}

}  // namespace

HeadgateProcess::HeadgateProcess(const test::TempDir& folder, const std::string& name,
                                 const HeadgateSetup& setup)
    : log_path_(folder.path(name + ".log")), socket_path_(folder.path(name + ".sock")) {
  folder.remove(name + ".data");
  folder.remove(name + ".log");
  config_path_ =
      folder.write(name + ".yml", config_text(setup, folder.path(name + ".data"), socket_path_));
}

void HeadgateProcess::start() {
  demo::SpawnOptions options;
  options.argv = {HEADGATE_BINARY, "run", "--config", config_path_};
  options.out = demo::Output::file(log_path_);
  options.err = demo::Output::file(log_path_);
  process_ = std::make_unique<demo::Subprocess>(options);
}

bool HeadgateProcess::ready() const {
  if (!process_->running()) {
    fail("headgate ended");
  }
  const auto answer = test::http_get(socket_path_, "/ready");
  return answer && answer->code == 200;
}

std::uint64_t HeadgateProcess::applied() {
  const auto applied = applied_lsn();
  return applied ? applied->to_postgres() : 0;
}

std::optional<LSN> HeadgateProcess::applied_lsn() {
  if (!process_->running()) {
    fail("headgate ended");
  }
  const auto answer = test::http_get(socket_path_, "/api/v1/status");
  if (!answer || answer->code != 200) {
    return std::nullopt;  // it is starting
  }
  const boost::json::value status = boost::json::parse(answer->body);
  const boost::json::value& applied =
      status.as_object().at("sinks").as_array().at(0).as_object().at("applied");
  if (!applied.is_string()) {
    return std::nullopt;
  }
  return LSN::parse({applied.as_string().data(), applied.as_string().size()});
}

void HeadgateProcess::terminate() {
  process_->send(SIGTERM);
  const auto ended = process_->wait_for(kEndPatience);
  if (!ended || !ended->ok()) {
    fail("headgate did not end well");
  }
}

void HeadgateProcess::fail(const std::string& what) const {
  constexpr std::size_t kShown = 2000;
  const std::string log = test::read_file(log_path_);
  throw std::runtime_error(what + ":\n" + log.substr(log.size() - std::min(log.size(), kShown)));
}

std::uint64_t HeadgateProcess::binary_bytes() {
  return std::filesystem::file_size(HEADGATE_BINARY);
}

std::uint64_t HeadgateProcess::loaded_bytes() {
  const std::string file = test::read_file(HEADGATE_BINARY);
  Elf64_Ehdr header{};
  if (file.size() < sizeof header || !file.starts_with(ELFMAG)) {
    return 0;
  }
  std::memcpy(&header, file.data(), sizeof header);
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment{};
    const std::size_t at = header.e_phoff + i * sizeof segment;
    if (at + sizeof segment > file.size()) {
      return 0;
    }
    std::memcpy(&segment, file.data() + at, sizeof segment);
    sum += segment.p_type == PT_LOAD ? segment.p_filesz : 0;
  }
  return sum;
}

}  // namespace headgate::bench
