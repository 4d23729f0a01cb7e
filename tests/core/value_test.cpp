#include "core/value.hpp"

#include <string>

#include <catch2/catch.hpp>

#include "core/schema.hpp"

namespace {

using headgate::TableName;
using headgate::Value;

TEST_CASE("NULL, unchanged and the empty string are three things") {
  CHECK_FALSE(Value::null() == Value::text(""));
  CHECK_FALSE(Value::null() == Value::unchanged());
  CHECK_FALSE(Value::unchanged() == Value::text(""));
  CHECK(Value::null().is_null());
  CHECK_FALSE(Value::text("").is_null());
  CHECK(Value::unchanged().is_unchanged());
  CHECK(Value{}.is_null());
}

TEST_CASE("values are equal by kind and bytes, wherever the bytes lie") {
  const std::string one("a\0b", 3);
  const std::string other = one;
  CHECK(Value::text(one) == Value::text(other));
  CHECK_FALSE(Value::text(one) == Value::binary(other));
  CHECK_FALSE(Value::text(one) == Value::text("a"));
}

TEST_CASE("a table's name for people leaves out a schema that is not there") {
  CHECK(TableName{"shop", "orders"}.to_string() == "shop.orders");
  CHECK(TableName{"", "orders"}.to_string() == "orders");
  CHECK(TableName{"a", "z"} < TableName{"b", "a"});
}

}  // namespace
