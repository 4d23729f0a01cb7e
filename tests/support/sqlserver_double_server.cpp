// The SQL Server double as a process of its own, which is reached over TCP and by nothing else.
//
//   sqlserver_double_server [--lag MS] [COMMAND ARGUMENTS…]
//
// Runs the command with the double's connection string in HEADGATE_TEST_SQLSERVER and ends as it
// does. Without one it prints the string and stays until SIGTERM or SIGINT.

#include <pthread.h>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "demo/subprocess.hpp"
#include "support/sqlserver_double/sqlserver_double.hpp"

using namespace headgate;

namespace {

// Tests have time limits of their own.
constexpr auto kPatience = std::chrono::hours(4);

int run(const std::vector<std::string>& command, const std::string& connection_string) {
  demo::SpawnOptions options;
  options.argv = command;
  options.env = {{"HEADGATE_TEST_SQLSERVER", connection_string}};
  demo::Subprocess child(options);
  const auto ended = child.wait_for(kPatience);
  return ended && ended->signal == 0 ? ended->code : EXIT_FAILURE;
}

}  // namespace

int main(int count, char** values) {
  std::vector<std::string> arguments(values + 1, values + count);
  std::chrono::milliseconds lag(5);
  if (arguments.size() >= 2 && arguments[0] == "--lag") {
    lag = std::chrono::milliseconds(std::stoi(arguments[1]));
    arguments.erase(arguments.begin(), arguments.begin() + 2);
  }
  // Blocked before there are threads, so that none of them gets it.
  sigset_t ends;
  ::sigemptyset(&ends);
  ::sigaddset(&ends, SIGINT);
  ::sigaddset(&ends, SIGTERM);
  if (arguments.empty()) {
    ::pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  }
  test::SqlServerDouble server;
  server.set_capture(test::CaptureMode::kAutomatic, lag);
  server.set_idle_rows(std::chrono::milliseconds(50));
  const std::string connection_string = server.connection_string(HEADGATE_TDSODBC);
  if (!arguments.empty()) {
    return run(arguments, connection_string);
  }
  std::cout << connection_string << std::endl;
  int signal = 0;
  ::sigwait(&ends, &signal);
  return EXIT_SUCCESS;
}
