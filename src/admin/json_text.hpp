// JSON as text for people and scripts.

#pragma once

#include <string>

#include <boost/json/value.hpp>

namespace headgate {

// One line, ended by a newline. Boost's own serializer writes 0.25 as 2.5E-1, which is right and
// which nobody likes to read.
std::string json_text(const boost::json::value& value);

}  // namespace headgate
