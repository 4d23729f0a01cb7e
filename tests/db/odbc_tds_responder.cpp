#include "odbc_tds_responder.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <thread>

#include "odbc_tds_script.hpp"

namespace headgate::test::tds {
namespace {

enum PacketType : unsigned char {
  kBatchPacket = 1,
  kCallPacket = 3,
  kReplyPacket = 4,
  kAttentionPacket = 6,
  kTransactionPacket = 14,
  kLoginPacket = 16,
  kPreloginPacket = 18,
};

constexpr std::size_t kHeaderBytes = 8;
constexpr std::size_t kPacketBytes = 4096;

struct Closed {};

// Reads a request's bytes in order.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  bool at_end() const { return rest_.empty(); }
  std::string_view take(std::size_t size) {
    if (size > rest_.size()) {
      throw std::runtime_error("a request of the driver is shorter than it says");
    }
    const std::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
  }
  std::uint64_t number(std::size_t size) {
    const std::string_view bytes = take(size);
    std::uint64_t value = 0;
    for (std::size_t i = size; i-- > 0;) {
      value = value << 8 | static_cast<unsigned char>(bytes[i]);
    }
    return value;
  }
  std::string text(std::size_t units) { return utf8(take(units * 2)); }
  void skip_headers() { take(number(4) - 4); }

 private:
  std::string_view rest_;
};

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    text +=
        {kDigits[static_cast<unsigned char>(c) >> 4], kDigits[static_cast<unsigned char>(c) & 15]};
  }
  return text;
}

// A value with a length of `size` bytes in front, all bits of which stand for NULL.
void read_sized(Reader& reader, std::size_t size, Request::Parameter& parameter) {
  const std::uint64_t length = reader.number(size);
  const bool null = length == (size == 4 ? 0xFFFFFFFF : 0xFFFF);
  parameter.null = null;
  parameter.value = null ? "" : std::string(reader.take(length));
}

void read_long(Reader& reader, Request::Parameter& parameter) {
  parameter.null = reader.number(8) == ~std::uint64_t{0};
  while (!parameter.null) {
    const std::uint64_t size = reader.number(4);
    if (size == 0) {
      break;
    }
    parameter.value += reader.take(size);
  }
}

// The types that the driver declares for what we bind, and the texts of statements.
Request::Parameter read_parameter(Reader& reader) {
  Request::Parameter parameter;
  reader.text(reader.number(1));
  reader.take(1);
  const auto token = static_cast<unsigned char>(reader.take(1)[0]);
  parameter.type = hex({reinterpret_cast<const char*>(&token), 1});
  switch (token) {
    case 0x26:    // int
    case 0x6D: {  // float
      parameter.type += hex(reader.take(1));
      const std::uint64_t length = reader.number(1);
      parameter.null = length == 0;
      parameter.value = std::string(reader.take(length));
      break;
    }
    case 0x63:  // ntext: statements and definitions
      reader.take(9);
      read_sized(reader, 4, parameter);
      parameter.value = utf8(parameter.value);
      break;
    case 0xE7:    // nvarchar
    case 0xA5:    // varbinary
    case 0xAD: {  // binary
      const std::string_view size = reader.take(2);
      parameter.type += hex(size);
      if (token == 0xE7) {
        reader.take(5);
      }
      if (size == "\xFF\xFF") {
        read_long(reader, parameter);
      } else {
        read_sized(reader, 2, parameter);
      }
      break;
    }
    default:
      throw std::runtime_error("a parameter of a type that the responder does not read: " +
                               parameter.type);
  }
  return parameter;
}

// `prepared`: the statements of this connection by handle.
Request read_call(std::string_view body, std::map<std::uint64_t, std::string>& prepared) {
  Reader reader(body);
  reader.skip_headers();
  Request request;
  request.kind = Request::Kind::kCall;
  const std::uint64_t units = reader.number(2);
  if (units == 0xFFFF) {
    const std::uint64_t id = reader.number(2);
    request.procedure = id == 10   ? "sp_executesql"
                        : id == 13 ? "sp_prepexec"
                        : id == 15 ? "sp_unprepare"
                                   : "procedure " + std::to_string(id);
  } else {
    request.procedure = reader.text(units);
  }
  reader.take(2);
  std::vector<Request::Parameter> all;
  while (!reader.at_end()) {
    all.push_back(read_parameter(reader));
  }
  const auto handle = [&] { return Reader(all.at(0).value).number(4); };
  std::size_t values = all.size();
  if (request.procedure == "sp_executesql") {
    request.sql = all.at(0).value;
    request.declared = all.size() > 1 ? all[1].value : "";
    values = 2;
  } else if (request.procedure == "sp_prepexec") {
    request.declared = all.at(1).value;
    request.sql = all.at(2).value;
    prepared[prepared.size() + 1] = request.sql;
    values = 3;
  } else if (request.procedure == "sp_execute" || request.procedure == "sp_unprepare") {
    request.sql = prepared[handle()];
    values = 1;
  }
  for (std::size_t i = values; i < all.size(); ++i) {
    request.parameters.push_back(std::move(all[i]));
  }
  return request;
}

Request read_transaction(std::string_view body) {
  Reader reader(body);
  reader.skip_headers();
  Request request;
  const std::uint64_t what = reader.number(2);
  request.kind = what == 5   ? Request::Kind::kBegin
                 : what == 7 ? Request::Kind::kCommit
                             : Request::Kind::kRollback;
  return request;
}

Login read_login(std::string_view body) {
  Login login;
  login.tds_version = static_cast<std::uint32_t>(Reader(body.substr(4)).number(4));
  login.read_only = (static_cast<unsigned char>(body[26]) & 0x20) != 0;
  const auto text = [&](std::size_t index) {
    Reader place(body.substr(36 + 4 * index));
    const std::uint64_t offset = place.number(2);
    return std::string(body.substr(offset, place.number(2) * 2));
  };
  login.host = utf8(text(0));
  login.user = utf8(text(1));
  std::string scrambled = text(2);
  for (char& c : scrambled) {
    const auto b = static_cast<unsigned>(static_cast<unsigned char>(c)) ^ 0xA5U;
    c = static_cast<char>(b >> 4 | (b & 15U) << 4);
  }
  login.password = utf8(scrambled);
  login.application = utf8(text(3));
  login.server = utf8(text(4));
  login.database = utf8(text(8));
  return login;
}

std::string prelogin_answer() {
  // Version and "no encryption", each with its offset (most significant byte first) and size.
  std::string answer("\x00\x00\x0B\x00\x06\x01\x00\x11\x00\x01\xFF", 11);
  return answer + std::string("\x10\x00\x10\x2B\x00\x00\x02", 7);
}

}  // namespace

class Responder::Core {
 public:
  Core(Handler handler, LoginHandler login)
      : handler_(std::move(handler)), login_(std::move(login)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (listener_ < 0 || ::bind(listener_, generic, size) != 0 || ::listen(listener_, 16) != 0 ||
        ::getsockname(listener_, generic, &size) != 0) {
      throw std::system_error(errno, std::generic_category(), "cannot listen");
    }
    port = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }

  ~Core() {
    stopping_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    {
      const std::lock_guard lock(mutex);
      for (const int socket : sockets_) {
        ::shutdown(socket, SHUT_RDWR);
      }
    }
    for (std::thread& thread : threads_) {
      thread.join();
    }
    ::close(listener_);
  }

  int port = 0;
  mutable std::mutex mutex;
  std::vector<Request> requests;  // guarded by mutex, as are the next two
  std::vector<Login> logins;

 private:
  void accept_all() {
    while (!stopping_) {
      const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (socket < 0) {
        continue;
      }
      const int on = 1;  // the packets of a reply must not wait for one another
      ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      const std::lock_guard lock(mutex);
      sockets_.push_back(socket);
      threads_.emplace_back([this, socket] { serve(socket); });
    }
  }

  void serve(int socket) {
    try {
      std::map<std::uint64_t, std::string> prepared;
      while (answer(socket, prepared)) {
      }
    } catch (const Closed&) {
    } catch (const std::exception& failure) {
      const std::lock_guard lock(mutex);
      requests.push_back({Request::Kind::kBatch, "", std::string("!! ") + failure.what(), "", {}});
    }
    ::shutdown(socket, SHUT_RDWR);
    const std::lock_guard lock(mutex);
    sockets_.erase(std::find(sockets_.begin(), sockets_.end(), socket));
    ::close(socket);
  }

  static std::string receive(int socket, std::size_t size) {
    std::string bytes(size, '\0');
    std::size_t got = 0;
    while (got < size) {
      const ssize_t part = ::recv(socket, bytes.data() + got, size - got, 0);
      if (part <= 0) {
        throw Closed{};
      }
      got += static_cast<std::size_t>(part);
    }
    return bytes;
  }

  static std::pair<unsigned char, std::string> receive_message(int socket) {
    std::string body;
    while (true) {
      const std::string header = receive(socket, kHeaderBytes);
      const auto at = [&](std::size_t i) { return static_cast<unsigned char>(header[i]); };
      body += receive(socket, static_cast<std::size_t>(at(2) << 8 | at(3)) - kHeaderBytes);
      if ((at(1) & 1) != 0) {
        return {at(0), body};
      }
    }
  }

  static void send_message(int socket, std::string_view body, bool last = true) {
    do {
      const std::string_view part = body.substr(0, kPacketBytes - kHeaderBytes);
      body.remove_prefix(part.size());
      const std::size_t size = part.size() + kHeaderBytes;
      std::string packet;
      packet.push_back(kReplyPacket);
      packet.push_back(body.empty() && last ? 1 : 0);
      packet.push_back(static_cast<char>(size >> 8));
      packet.push_back(static_cast<char>(size & 0xFF));
      packet += std::string("\x00\x33\x01\x00", 4);
      packet += part;
      for (std::size_t sent = 0; sent < packet.size();) {
        const ssize_t done =
            ::send(socket, packet.data() + sent, packet.size() - sent, MSG_NOSIGNAL);
        if (done <= 0) {
          throw Closed{};
        }
        sent += static_cast<std::size_t>(done);
      }
    } while (!body.empty());
  }

  // One message of the client and what follows it; false when the connection is to be closed.
  bool answer(int socket, std::map<std::uint64_t, std::string>& prepared) {
    const auto [type, body] = receive_message(socket);
    if (type == kPreloginPacket) {
      send_message(socket, prelogin_answer());
      return true;
    }
    if (type == kLoginPacket) {
      const Login login = read_login(body);
      Reply reply{welcome(), Reply::After::kEnd};
      {
        const std::lock_guard lock(mutex);
        logins.push_back(login);
        if (login_) {
          reply = login_(login);
        }
      }
      return follow(socket, reply);
    }
    const auto record = [&](const Request& request) {
      const std::lock_guard lock(mutex);
      requests.push_back(request);
    };
    if (type == kAttentionPacket) {
      record({Request::Kind::kAttention, "", "", "", {}});
      send_message(socket, done(kDoneAttention));
      return true;
    }
    Request request;
    if (type == kBatchPacket) {
      Reader reader(body);
      reader.skip_headers();
      request.sql = utf8(body.substr(Reader(body).number(4)));
    } else {
      request = type == kCallPacket ? read_call(body, prepared) : read_transaction(body);
    }
    record(request);
    if (request.procedure == "sp_unprepare") {
      send_message(socket, done_procedure());
      return true;
    }
    Reply reply;
    {
      const std::lock_guard lock(handler_mutex_);
      reply = handler_(request);
    }
    if (request.kind != Request::Kind::kBatch && request.kind != Request::Kind::kCall &&
        reply.after == Reply::After::kEnd && reply.tokens.empty()) {
      reply.tokens = transaction_answer(request.kind, body);
    } else if (request.kind == Request::Kind::kCall && reply.after == Reply::After::kEnd) {
      reply.tokens += return_status(0);
      if (request.procedure == "sp_prepexec") {
        reply.tokens += prepared_handle(static_cast<int>(prepared.size()));
      }
      reply.tokens += done_procedure();
    }
    return follow(socket, reply);
  }

  std::string transaction_answer(Request::Kind kind, std::string_view body) {
    const std::uint64_t before = transaction_;
    if (kind == Request::Kind::kBegin) {
      return transaction_change(8, ++transaction_, 0) + done();
    }
    std::string tokens = transaction_change(kind == Request::Kind::kCommit ? 9 : 10, 0, before);
    // "Begin the next one" is the lowest bit of the flags behind the request and the empty name.
    if (body.size() > 25 && (static_cast<unsigned char>(body[25]) & 1) != 0) {
      tokens += transaction_change(8, ++transaction_, 0);
    }
    return tokens + done();
  }

  bool follow(int socket, const Reply& reply) {
    if (reply.after == Reply::After::kEnd) {
      send_message(socket, reply.tokens);
      return true;
    }
    if (!reply.tokens.empty()) {
      send_message(socket, reply.tokens, false);
    }
    if (reply.after == Reply::After::kClose) {
      return false;
    }
    while (true) {
      const auto type = receive_message(socket).first;
      if (type == kAttentionPacket) {
        const std::lock_guard lock(mutex);
        requests.push_back({Request::Kind::kAttention, "", "", "", {}});
      }
      if (reply.after == Reply::After::kAwaitAttention && type == kAttentionPacket) {
        send_message(socket, done(kDoneAttention));
        return true;
      }
    }
  }

  const Handler handler_;
  const LoginHandler login_;
  std::mutex handler_mutex_;
  std::atomic<std::uint64_t> transaction_ = 0;
  std::atomic<bool> stopping_ = false;
  int listener_ = -1;
  std::thread acceptor_;
  std::vector<int> sockets_;          // guarded by mutex
  std::vector<std::thread> threads_;  // of the acceptor, and after its end of the destructor
};

Responder::Responder(Handler handler, LoginHandler login)
    : core_(std::make_unique<Core>(std::move(handler), std::move(login))) {}

Responder::~Responder() = default;

int Responder::port() const {
  return core_->port;
}

std::vector<Request> Responder::requests() const {
  const std::lock_guard lock(core_->mutex);
  return core_->requests;
}

std::vector<Login> Responder::logins() const {
  const std::lock_guard lock(core_->mutex);
  return core_->logins;
}

std::string welcome() {
  return environment_change(1, "shop", "master") + info(5701, "Changed database context") +
         collation_change() + environment_change(2, "us_english", "") +
         info(5703, "Changed language setting") + login_acknowledgement() +
         environment_change(4, "4096", "4096") + done();
}

}  // namespace headgate::test::tds
