// Floating-point numbers as PostgreSQL prints them.

#pragma once

#include <string>

namespace headgate {

// The fewest digits that read back as the same number, as the server prints them with
// extra_float_digits above 0: `0.1`, `3`, `-0`, `1e+300`, `NaN`, `-Infinity`.
std::string float_text(float number);
std::string float_text(double number);

}  // namespace headgate
