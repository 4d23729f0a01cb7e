#include "config/secret_file.hpp"

#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "config_test_support.hpp"

namespace headgate::config {
namespace {

std::string with_password_file(const std::string& path) {
  return good_but("source:\n", "source:\n  password_file: " + path + "\n");
}

std::string password_from(const std::string& path) {
  return parse_config("c.yml", with_password_file(path)).source.password;
}

TEST_CASE("a secret is what its file holds, less one line end") {
  const TemporaryFolder folder;
  CHECK(password_from(folder.write("plain", "hunter2")) == "hunter2");
  CHECK(password_from(folder.write("line", "hunter2\n")) == "hunter2");
  CHECK(password_from(folder.write("windows", "hunter2\r\n")) == "hunter2");
  CHECK(password_from(folder.write("two", "hunter2\n\n")) == "hunter2\n");
  CHECK(password_from(folder.write("blanks", " hunter 2 \n")) == " hunter 2 ");
  CHECK(password_from(folder.write("group", "hunter2", 0640)) == "hunter2");
  const EnvironmentVariable where("HEADGATE_TEST_SECRETS", folder.path());
  CHECK(password_from("${HEADGATE_TEST_SECRETS}/plain") == "hunter2");
}

// A file that is wrong in any way is one finding, and what stands in it is never told.
TEST_CASE("a secret file that cannot be used is a finding at its key") {
  const TemporaryFolder folder;
  const auto at_key = [](const std::string& what) {
    return "c.yml:3: source.password_file: " + what;
  };
  const std::string open = folder.write("open", "hunter2", 0644);
  const std::string writable = folder.write("writable", "hunter2", 0602);
  const std::string empty = folder.write("empty", "");
  const std::string only_line = folder.write("only_line", "\n");
  const std::string large = folder.write("large", std::string(5000, 'x'));
  const std::string nul = folder.write("nul", std::string("hun\0ter2", 8));
  const std::string binary = folder.write("binary", "hunter2\xFF");
  const std::string missing = folder.path("missing");
  const std::string fifo = folder.path("fifo");
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  const auto quoted = [](const std::string& path) { return '"' + path + '"'; };
  check_mistakes({
      {with_password_file(open),
       at_key(quoted(open) + " is open to all users of the machine (mode 0644)"),
       "chmod 0600 " + quoted(open) + ", or 0640 with the service's group"},
      {with_password_file(writable),
       at_key(quoted(writable) + " is open to all users of the machine (mode 0602)")},
      {with_password_file(empty), at_key(quoted(empty) + " is empty")},
      {with_password_file(only_line), at_key(quoted(only_line) + " is empty")},
      {with_password_file(large),
       at_key(quoted(large) + " is larger than 4096 bytes, which no secret is")},
      {with_password_file(nul), at_key(quoted(nul) + " is not text")},
      {with_password_file(binary), at_key(quoted(binary) + " is not text")},
      {with_password_file(missing),
       at_key("cannot open " + quoted(missing) + ": No such file or directory"),
       "the key names a file that holds the secret, and nothing else"},
      {with_password_file(folder.path()), at_key(quoted(folder.path()) + " is not a regular file")},
      {with_password_file(fifo), at_key(quoted(fifo) + " is not a regular file")},
      // Not shown: it may be the password itself.
      {with_password_file("hunter2"), at_key("cannot open the file: No such file or directory")},
  });
}

TEST_CASE("secrets are in no message, wherever they were written") {
  const TemporaryFolder folder;
  const EnvironmentVariable secret("HEADGATE_TEST_SECRET", "hunter2");
  const std::string bad_token = folder.write("token", "hunter2 with blanks");
  const std::string files[] = {
      good_but("user=headgate", "password=hunter2 usr=headgate"),
      good_but("user=headgate", "password=my hunter2"),
      good_but("user=headgate", "password='hunter2"),
      good_but("host=db1 dbname=shop user=headgate", "postgresql://a:hunter2%zz@db1"),
      good_but("host=db1 dbname=shop user=headgate", "\"postgresql://a:hunter2@db1@db2\""),
      good_but("host=db1 dbname=shop user=headgate", "hunter2"),
      good_but("host=db1 dbname=shop user=headgate", "[hunter2]"),
      good_but("source:\n", "source:\n  password: hunter2\n"),
      good_but("source:\n", "source:\n  pasword: hunter2\n"),
      good_but("source:\n", "source:\n  slot: ${HEADGATE_TEST_SECRET}!\n"),
      good_but("shop\n", "\"${HEADGATE_TEST_SECRET}!\"\n"),
      good_but("[public.orders]", "[\"${HEADGATE_TEST_SECRET}\"]"),
      good_but("sqlite", "${HEADGATE_TEST_SECRET}"),
      kGoodYaml + "shutdown_timeout: ${HEADGATE_TEST_SECRET}\n",
      kGoodYaml + "http: { token_file: " + bad_token + " }\n",
      kGoodYaml + "http: { listen: \"${HEADGATE_TEST_SECRET}\" }\n",
      kGoodYaml + "http: { token_file: hunter2 }\n",
      kGoodYaml + "http: { token: hunter2 }\n",
  };
  for (const std::string& yaml : files) {
    INFO(yaml);
    const std::string message = message_of(yaml);
    CHECK_FALSE(message.empty());
    CHECK(message.find("hunter2") == std::string::npos);
  }
}

}  // namespace
}  // namespace headgate::config
