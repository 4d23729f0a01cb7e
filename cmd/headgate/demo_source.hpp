// Where the orders of `headgate demo` come from.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "demo/compare.hpp"
#include "demo/order_workload.hpp"

namespace headgate {

// A throw-away server with the shop in it, made by the constructor and gone with the object.
class DemoSource {
 public:
  virtual ~DemoSource() = default;

  // Said wherever the source is mentioned: "source" or "EMULATED source".
  virtual std::string name() const = 0;
  // Where it is, for people; and what they must know of it, in full sentences, or nothing.
  virtual std::string place() const = 0;
  virtual std::string notice() const = 0;

  // A folder for files of the demo.
  virtual const std::string& folder() const = 0;
  // Fills in what the daemon needs to read it.
  virtual void configure(Config& config) const = 0;

  virtual demo::OrderWorkload& workload() = 0;

  // About once a second.
  virtual void look_after() {}
  // The workload has stopped: true once all that it committed can be read.
  virtual bool settled() const { return true; }
  // REQUIRES: nothing writes to either side.
  virtual demo::Comparison compare(const std::string& mirror) = 0;
};

// Each throws Error{kOperator} when a program or library is missing.
std::unique_ptr<DemoSource> make_postgres_demo(double rate);
std::unique_ptr<DemoSource> make_sqlserver_demo(double rate);

}  // namespace headgate
