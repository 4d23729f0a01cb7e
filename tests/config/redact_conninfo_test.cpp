#include "config/redact_conninfo.hpp"

#include <catch2/catch.hpp>

namespace headgate::config {
namespace {

TEST_CASE("connection strings are shown without their secrets") {
  struct Case {
    const char* text;
    const char* shown;
  };
  const Case cases[] = {
      {"", ""},
      {"host=db1 dbname=shop user=a", "host=db1 dbname=shop user=a"},
      {"host=db1 password=hunter2 user=a", "host=db1 password=*** user=a"},
      {"password='hun ter\\'2'  host=db1", "password=*** host=db1"},
      {"host=db1 sslpassword=hunter2", "host=db1 sslpassword=***"},
      {"host=db1 oauth_client_secret=hunter2", "host=db1 oauth_client_secret=***"},
      // A quote that is missing: nothing after it can be trusted.
      {"host=db1 password=my hunter2 user=a", "host=db1 password=*** ***"},
      {"host=db1 password=my hunter2=x user=a", "host=db1 password=*** *** user=a"},
      {"host=db1 password='hunter2", "host=db1 ***"},
      {"host=db1 passwrd=hunter2", "host=db1 ***"},
      {"hunter2", "***"},
      {"Driver=FreeTDS;Server=db1;PWD=hunter2", "***"},
      {"mysql://a:hunter2@db1/shop", "***"},
      {"mysql://a:hunter2@db1/shop?x=y", "***"},
      {"postgresql://db1/shop", "postgresql://db1/shop"},
      {"postgresql://a@db1:5432/shop?sslmode=require",
       "postgresql://a@db1:5432/shop?sslmode=require"},
      {"postgresql://a:hunter2@db1/shop", "postgresql://a:***@db1/shop"},
      {"postgres://:hunter2@db1", "postgres://:***@db1"},
      {"postgresql://a:hun@ter2@db1/shop", "postgresql://a:***@db1/shop"},
      {"postgresql://a:hun/ter2@db1/shop", "postgresql://a:***@db1/shop"},
      {"postgresql://a:hun?ter2@db1/shop", "postgresql://a:***@db1/shop"},
      {"postgresql://db1/shop?password=hunter2&port=1",
       "postgresql://db1/shop?password=***&port=1"},
      {"postgresql://db1/shop?p%61ssword=hunter2", "postgresql://db1/shop?password=***"},
      {"postgresql://db1?hunter2&port=1", "postgresql://db1?***&port=1"},
      {"postgresql://db1?password=my&hunter2", "postgresql://db1?password=***&***"},
      {"postgresql://db1?password=a:hunter2@b", "postgresql://db1?password=***"},
  };
  for (const Case& c : cases) {
    INFO(c.text);
    CHECK(redact_conninfo(c.text) == c.shown);
    CHECK(redact_conninfo(c.text).find("ter2") == std::string::npos);
  }
}

}  // namespace
}  // namespace headgate::config
