#include "source/postgres/stream_spool.hpp"

#include <utility>

#include <fmt/format.h>

#include "base/error.hpp"
#include "source/postgres/wire_reader.hpp"

namespace headgate::source::postgres {
namespace {

Error unexpected(const std::string& what) {
  return Error{ErrorKind::kOperator, "source: the replication stream holds " + what,
               "please report it, with the server's version"};
}

}  // namespace

void SpooledTransaction::add(std::string_view message) {
  StreamedMessage::split(message);  // malformed ones are found here, where the server is at hand
  file_->append(message);
}

std::optional<std::string_view> SpooledTransaction::next() {
  if (!reader_) {
    reader_.emplace(file_, 0, file_->size());
  }
  std::string_view record;
  while (reader_->next(record)) {
    const StreamedMessage streamed = StreamedMessage::split(record);
    // Descriptions, too: behind each rollback the server describes tables anew
    // (pgoutput_stream_abort), and by then others may have altered them.
    if (streamed.xid != 0 && aborted_.contains(streamed.xid)) {
      continue;
    }
    message_.assign(1, streamed.type);
    message_.append(streamed.rest);
    return message_;
  }
  return std::nullopt;
}

void StreamSpool::reset() {
  transactions_.clear();
  current_ = nullptr;
}

void StreamSpool::start(const StreamStartMessage& start) {
  if (current_ != nullptr) {
    throw unexpected("a segment within a segment");
  }
  if (start.first_segment) {
    transactions_.erase(start.xid);
  }
  const auto found = transactions_.find(start.xid);
  if (!start.first_segment && found == transactions_.end()) {
    throw unexpected(
        fmt::format("a later segment of transaction {}, whose first is missing", start.xid));
  }
  current_ = &transactions_.try_emplace(start.xid, space_).first->second;
}

void StreamSpool::add(std::string_view message) {
  current_->add(message);
}

void StreamSpool::stop() {
  if (current_ == nullptr) {
    throw unexpected("the end of a segment that has not begun");
  }
  current_ = nullptr;
}

void StreamSpool::abort(const StreamAbortMessage& abort) {
  const auto found = transactions_.find(abort.xid);
  if (found == transactions_.end()) {
    return;  // rolled back before anything of it was sent to this connection
  }
  if (abort.subxid == abort.xid) {
    transactions_.erase(found);
  } else {
    found->second.abort(abort.subxid);
  }
}

SpooledTransaction StreamSpool::take(std::uint32_t xid) {
  const auto found = transactions_.find(xid);
  if (current_ != nullptr || found == transactions_.end()) {
    throw unexpected(fmt::format("the commit of transaction {}, which was not streamed", xid));
  }
  SpooledTransaction transaction = std::move(found->second);
  transactions_.erase(found);
  return transaction;
}

}  // namespace headgate::source::postgres
