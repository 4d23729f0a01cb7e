#include "config/conninfo.hpp"

#include <catch2/catch.hpp>

namespace headgate::config {
namespace {

TEST_CASE("the password is taken out of a connection string, and nothing else is changed") {
  struct Case {
    const char* text;
    const char* password;
    const char* rest;
  };
  const Case cases[] = {
      {"host=db1 user=a", "", "host=db1 user=a"},
      {"password=s3 host=db1", "s3", "host=db1"},
      {"host=db1 password=s3", "s3", "host=db1"},
      {"host=db1 password = s3 user=a", "s3", "host=db1 user=a"},
      {"password='it\\'s a \\\\ one'host=db1", "it's a \\ one", "host=db1"},
      {"password=a\\ b host=db1", "a b", "host=db1"},
      {"password=one host=db1 password=two", "two", "host=db1"},
      {"password= host=db1", "host=db1", ""},  // libpq skips the blanks after `=` too
      {"password='' host=db1", "", "host=db1"},
      {"host=db1 options='-c search_path=a\\ b'", "", "host=db1 options='-c search_path=a\\ b'"},
      {"host=db1\n\tpassword=s3\n", "s3", "host=db1"},
      {"postgresql://a:s3@db1:5433/shop", "s3", "postgresql://a@db1:5433/shop"},
      {"postgres://a@db1/shop", "", "postgres://a@db1/shop"},
      {"postgresql://:s3@db1", "s3", "postgresql://@db1"},
      {"postgresql://a:%73%33@db1", "s3", "postgresql://a@db1"},
      {"postgresql://a:s%2F3%403@db1", "s/3@3", "postgresql://a@db1"},
      {"postgresql://db1/shop?password=s3", "s3", "postgresql://db1/shop"},
      {"postgresql://db1/shop?password=s3&sslmode=require", "s3",
       "postgresql://db1/shop?sslmode=require"},
      {"postgresql://db1?sslmode=require&p%61ssword=s3&port=1", "s3",
       "postgresql://db1?sslmode=require&port=1"},
      {"postgresql://a:x@db1?password=s3", "s3", "postgresql://a@db1"},
      {"postgresql://[::1]:5432,db2:5433/shop", "", "postgresql://[::1]:5432,db2:5433/shop"},
      {"postgresql://", "", "postgresql://"},
      {"postgresql:///shop?host=/run/postgresql", "", "postgresql:///shop?host=/run/postgresql"},
  };
  for (const Case& c : cases) {
    INFO(c.text);
    const Conninfo conninfo = parse_conninfo(c.text);
    CHECK(conninfo.problem.empty());
    CHECK(conninfo.value("password") == c.password);
    CHECK(conninfo.without_password == c.rest);
  }
}

TEST_CASE("what libpq would not take is refused without being quoted") {
  for (const char* text :
       {"", "hunter2", "host", "host=db1 hunter2", "=hunter2", "password='hunter2",
        "password='hunter2\\'", "host=db1 hunter2 user=a", "mysql://a:hunter2@db1",
        "postgresql://a:hunter2%4@db1", "postgresql://a:hunter2%00@db1",
        "postgresql://[::1/hunter2", "postgresql://[::1]hunter2", "postgresql://db1?hunter2",
        "postgresql://db1?password=hunter2&x", "postgresql://a:hun@ter2@db1",
        "postgresql://a:hun/ter2@db1", "postgresql://db1?password=hunter2=x"}) {
    INFO(text);
    const Conninfo conninfo = parse_conninfo(text);
    CHECK_FALSE(conninfo.problem.empty());
    CHECK(conninfo.problem.find("hun") == std::string::npos);
    CHECK(conninfo.parameters.empty());
    CHECK(conninfo.without_password.empty());
  }
}

TEST_CASE("two strings for one database have one identity") {
  const auto identity = [](std::string_view text) {
    return database_identity(parse_conninfo(text));
  };
  const std::string shop = identity("host=db1 dbname=shop user=a password=x");
  CHECK(identity("user=b dbname=shop host=db1 port=5432 sslmode=require") == shop);
  CHECK(identity("postgresql://c:pw@db1/shop?application_name=x") == shop);
  CHECK(identity("postgres://db1:5432/shop") == shop);
  CHECK(identity("host=db1 user=shop") == shop);
  CHECK(identity("hostaddr=10.0.0.1 dbname=shop") == identity("host=10.0.0.1 dbname=shop"));
  for (const char* other : {"host=db2 dbname=shop", "host=db1 dbname=report", "dbname=shop",
                            "host=db1 port=5433 dbname=shop", "service=db1 host=db1 dbname=shop"}) {
    INFO(other);
    CHECK(identity(other) != shop);
  }
}

}  // namespace
}  // namespace headgate::config
