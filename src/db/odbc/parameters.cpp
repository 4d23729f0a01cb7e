#include "db/odbc/parameters.hpp"

#include <algorithm>
#include <cstring>

namespace headgate::odbc {
namespace {

// SQL Server's limits for what is no `max` type.
constexpr std::size_t kShortUnitsMax = 4000;
constexpr std::size_t kShortBytesMax = 8000;

bool is_text(ParameterType type) {
  return type == ParameterType::kNvarchar;
}

SQLSMALLINT c_type(ParameterType type) {
  switch (type) {
    case ParameterType::kNvarchar:
      return SQL_C_WCHAR;
    case ParameterType::kBinary:
    case ParameterType::kVarbinary:
      return SQL_C_BINARY;
    case ParameterType::kBigint:
      return SQL_C_SBIGINT;
    case ParameterType::kFloat:
      return SQL_C_DOUBLE;
  }
  return SQL_C_BINARY;
}

SQLSMALLINT sql_type(ParameterType type, bool is_long) {
  switch (type) {
    case ParameterType::kNvarchar:
      return is_long ? SQL_WLONGVARCHAR : SQL_WVARCHAR;
    case ParameterType::kBinary:
      return SQL_BINARY;
    case ParameterType::kVarbinary:
      return is_long ? SQL_LONGVARBINARY : SQL_VARBINARY;
    case ParameterType::kBigint:
      return SQL_BIGINT;
    case ParameterType::kFloat:
      return SQL_FLOAT;
  }
  return SQL_VARBINARY;
}

std::size_t short_bytes_max(ParameterType type) {
  return is_text(type) ? kShortUnitsMax * sizeof(SQLWCHAR) : kShortBytesMax;
}

}  // namespace

Parameters::Slot& Parameters::slot(SQLUSMALLINT number, ParameterType type, std::size_t bytes) {
  while (slots_.size() < number) {
    slots_.push_back(std::make_unique<Slot>());
  }
  Slot& slot = *slots_[number - 1U];
  const bool fixed = type == ParameterType::kBigint || type == ParameterType::kFloat;
  std::size_t capacity = fixed ? sizeof(std::int64_t) : short_bytes_max(type);
  const bool is_long = !fixed && type != ParameterType::kBinary && bytes > capacity;
  if (type == ParameterType::kBinary) {
    capacity = std::max<std::size_t>(bytes, 1);
  } else if (is_long) {
    // Grows in powers of two, so that values of about one length keep the binding.
    while (capacity < bytes) {
      capacity *= 2;
    }
  }
  std::size_t declared = 0;
  if (!fixed) {
    declared = is_text(type) ? capacity / sizeof(SQLWCHAR) : capacity;
  }
  // A parameter that was long once stays so: it holds short values too.
  const bool fits = slot.bound && slot.type == type && bytes <= slot.buffer.size() &&
                    (type != ParameterType::kBinary || declared == slot.declared || bytes == 0);
  if (!fits) {
    slot.type = type;
    slot.buffer.resize(capacity);
    slot.declared = declared;
    slot.is_long = is_long;
    slot.bound = false;
  }
  return slot;
}

void Parameters::set_bytes(SQLUSMALLINT number, ParameterType type, std::string_view bytes) {
  Slot& to = slot(number, type, bytes.size());
  std::copy(bytes.begin(), bytes.end(), to.buffer.begin());
  to.indicator = static_cast<SQLLEN>(bytes.size());
}

void Parameters::set_bigint(SQLUSMALLINT number, std::int64_t value) {
  Slot& to = slot(number, ParameterType::kBigint, sizeof(value));
  std::memcpy(to.buffer.data(), &value, sizeof(value));
  to.indicator = sizeof(value);
}

void Parameters::set_float(SQLUSMALLINT number, double value) {
  Slot& to = slot(number, ParameterType::kFloat, sizeof(value));
  std::memcpy(to.buffer.data(), &value, sizeof(value));
  to.indicator = sizeof(value);
}

void Parameters::set_null(SQLUSMALLINT number, ParameterType type) {
  slot(number, type, 0).indicator = SQL_NULL_DATA;
}

SQLRETURN Parameters::bind(SQLHANDLE statement) {
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = *slots_[i];
    if (slot.bound) {
      continue;
    }
    const SQLRETURN code = SQLBindParameter(
        statement, static_cast<SQLUSMALLINT>(i + 1), SQL_PARAM_INPUT, c_type(slot.type),
        sql_type(slot.type, slot.is_long), slot.declared, 0, slot.buffer.data(),
        static_cast<SQLLEN>(slot.buffer.size()), &slot.indicator);
    if (!SQL_SUCCEEDED(code)) {
      return code;
    }
    slot.bound = true;
  }
  return SQL_SUCCESS;
}

}  // namespace headgate::odbc
