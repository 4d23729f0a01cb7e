// Values of every type, near and at its extremes, as SQL for a generated script.
//
// An expression here is over `s.i`, the number of the row within its statement.

#pragma once

#include <string>
#include <vector>

#include "support/script_random.hpp"

namespace headgate::test {

struct ValueType {
  std::string name;
  std::vector<std::string> literals{};  // as between quotes in SQL, but without them
  std::string varied{};                 // many different values; empty: literals only
  std::string large{};                  // values that are stored out of line; empty: none
  // A different value for each number `{0}`; empty: no type of a key.
  std::string key{};
  // Types that ALTER COLUMN TYPE takes it to without USING, and without its values being printed in
  // another way afterwards.
  std::vector<std::string> wider{};
};

// The user's types among value_types(), to be made at the source first.
extern const char* const kCreateValueTypes;

const std::vector<ValueType>& value_types();
const ValueType& value_type(const std::string& name);

// The names of the types that can be a key's.
const std::vector<std::string>& key_types();

// One value, which is not NULL.
std::string constant_of(const std::string& type, ScriptRandom& random);

// A value for each row.
std::string values_of(const std::string& type, bool nullable, ScriptRandom& random);

// The key value of the number that `number`, an expression, gives.
std::string key_of(const std::string& type, const std::string& number);

}  // namespace headgate::test
