#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/error.hpp"
#include "demo/order_schema.hpp"
#include "demo/row_stream.hpp"
#include "demo/sqlserver/emulation.hpp"
#include "demo/sqlserver/sqlserver_orders.hpp"
#include "demo/sqlserver/sqlserver_rows.hpp"
#include "demo_source.hpp"

namespace headgate {
namespace {

namespace fs = std::filesystem;

// A folder of our own for the mirror; the emulation has no files.
class Folder {
 public:
  Folder() : path_((fs::temp_directory_path() / "headgate-demo-XXXXXX").string()) {
    if (::mkdtemp(path_.data()) == nullptr) {
      throw Error{ErrorKind::kOperator, "cannot make a folder in " +
                                            fs::temp_directory_path().string() + ": " +
                                            std::generic_category().message(errno)};
    }
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class SqlServerDemo final : public DemoSource {
 public:
  explicit SqlServerDemo(double rate) : workload_(load(rate), orders(server_)) {}

  std::string name() const override { return "EMULATED source"; }
  std::string place() const override {
    return fmt::format("an EMULATION of SQL Server in this process, 127.0.0.1:{}", server_.port());
  }
  std::string notice() const override {
    return "This is an EMULATION and no SQL Server: Headgate reads it through the real ODBC "
           "driver, "
           "but\nnothing here was shown with Microsoft's server, and its speed says nothing.";
  }
  const std::string& folder() const override { return folder_.path(); }

  void configure(Config& config) const override {
    config.sqlserver.emplace();
    config.sqlserver->connection_string = server_.connection_string();
    config.sqlserver->idle_advance_interval = std::chrono::milliseconds(200);
    config.cdc.interval = std::chrono::milliseconds(100);
    // Here a commit is seen by the next snapshot, and nobody wants to wait for the first copy.
    config.sqlserver->commit_settles = std::chrono::milliseconds(20);
    config.storage_dir = folder_.path();
  }

  demo::OrderWorkload& workload() override { return workload_; }
  void look_after() override { server_.clean_up(); }
  bool settled() const override { return server_.all_captured(); }

  demo::Comparison compare(const std::string& mirror) override {
    odbc::Connection session(
        demo::sqlserver::application(server_.connection_string(), "comparison"));
    const auto tables = demo::sqlserver::describe_tables(session, demo::order_tables());
    const auto source = demo::sqlserver::sqlserver_rows(session);
    const auto sink = demo::sqlite_rows(mirror);
    return demo::compare(tables, *source, *sink);
  }

 private:
  static demo::WorkloadOptions load(double rate) {
    demo::WorkloadOptions options;
    options.transactions_per_second = rate;
    return options;
  }
  static std::unique_ptr<demo::OrderDatabase> orders(const demo::sqlserver::Emulation& server) {
    const demo::WorkloadOptions defaults;
    return demo::sqlserver::sqlserver_orders(server.connection_string(), defaults.customers,
                                             defaults.products);
  }

  const Folder folder_;
  demo::sqlserver::Emulation server_;
  demo::OrderWorkload workload_;
};

}  // namespace

std::unique_ptr<DemoSource> make_sqlserver_demo(double rate) {
  return std::make_unique<SqlServerDemo>(rate);
}

}  // namespace headgate
