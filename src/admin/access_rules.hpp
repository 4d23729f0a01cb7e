// Who may ask what of the control channel.

#pragma once

#include <optional>
#include <string>

#include "admin/http_message.hpp"

namespace headgate {

// From where the listening socket can be reached.
enum class Reach {
  kUnixSocket,  // those whom the file's mode lets in
  kLoopback,    // every user of this machine, and every web page that one of them opens
  kNetwork,     // whoever has a route to it
};

// What a route gives away, decided where it is declared.
enum class Access {
  kOpen,   // health, metrics and counts: open on this machine
  kToken,  // row values, and whatever changes state: always needs the token
};

// On the network every request needs the token, whatever its route says. Without a configured token
// what needs one is refused for everybody.
//
// A plain value, constant after construction; safe from any thread.
class AccessRules {
 public:
  // `host` is the name or address in `http.listen`. `token` is never part of an answer or a log
  // line.
  AccessRules(Reach reach, std::string host, std::string token);

  // Nothing when `request` may see a route of `access`; otherwise the answer to give instead.
  std::optional<HttpResponse> refusal(const HttpRequest& request, Access access) const;

 private:
  bool has_token(const HttpRequest& request) const;
  bool names_this_machine(const HttpRequest& request) const;

  Reach reach_;
  std::string host_;
  std::string token_;
};

}  // namespace headgate
