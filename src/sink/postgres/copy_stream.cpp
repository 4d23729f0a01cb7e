#include "sink/postgres/copy_stream.hpp"

#include <algorithm>
#include <cstddef>

#include <fmt/format.h>

#include "core/value_text.hpp"
#include "sink/postgres/wire_bytes.hpp"

namespace headgate::sink::postgres {
namespace {

// COPY's binary format (documentation of COPY, "Binary Format").
constexpr std::string_view kHeader{"PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19};
constexpr std::string_view kTrailer = "\377\377";

constexpr std::size_t kBufferSize = std::size_t{64} * 1024;
constexpr std::size_t kBufferKept = std::size_t{1024} * 1024;

constexpr std::uint32_t kJson = 114;
constexpr std::uint32_t kSingleByteChar = 18;  // "char": its '' is a byte 0

}  // namespace

CopyStream::CopyStream(pq::Connection& connection, const SinkConfig& config,
                       const TargetTable& table, std::string_view first)
    : connection_(connection),
      config_(config),
      first_(first),
      doing_(fmt::format("copy into {}", table.quoted_name)) {
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    const Column& column = config.output.columns[i];
    names.emplace_back(table.columns[i].quoted_name);
    same_type_.push_back(column.type_oid == table.columns[i].type_oid);
    text_is_binary_.push_back(
        (column.family == TypeFamily::kText && column.type_oid != kSingleByteChar) ||
        column.type_oid == kJson);
  }
  target_ = fmt::format("{} ({})", table.quoted_name, fmt::join(names, ", "));
}

void CopyStream::put(Row row) {
  if (!begun_) {
    begin(fits_binary(row), first_);
  } else if (binary_ && !fits_binary(row)) {
    end();
    begin(false, {});
  }
  if (binary_) {
    put_binary(row);
  } else {
    put_text(row);
  }
  if (buffer_.size() >= kBufferSize) {
    send();
  }
}

void CopyStream::send() {
  connection_.copy_put(buffer_, doing_);
  bytes_ += buffer_.size();
  buffer_.clear();
  if (buffer_.capacity() > kBufferKept) {
    buffer_.shrink_to_fit();  // a wide row is not paid for until the end
  }
}

std::int64_t CopyStream::finish() {
  if (begun_) {
    end();
  }
  return rows_;
}

bool CopyStream::fits_binary(Row row) const {
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (!same_type_[i] || (row[i].kind == ValueKind::kText && !text_is_binary_[i])) {
      return false;
    }
  }
  return true;
}

void CopyStream::begin(bool binary, std::string_view first) {
  connection_.copy_begin(
      fmt::format("{}COPY {} FROM STDIN{}", first, target_, binary ? " (FORMAT binary)" : ""),
      doing_);
  begun_ = true;
  binary_ = binary;
  buffer_.reserve(2 * kBufferSize);
  buffer_ = binary ? kHeader : std::string_view{};
}

void CopyStream::end() {
  if (binary_) {
    buffer_ += kTrailer;
  }
  send();
  begun_ = false;
  rows_ += connection_.copy_end(doing_);
}

void CopyStream::put_binary(Row row) {
  std::size_t size = sizeof(std::uint16_t);
  for (const Value& value : row) {
    size += sizeof(std::uint32_t) + value.size;
  }
  const std::size_t start = buffer_.size();
  buffer_.resize(start + size);
  char* to = put_uint16(buffer_.data() + start, static_cast<std::uint16_t>(row.size()));
  for (const Value& value : row) {
    to = put_bytes(put_uint32(to, value.is_null() ? 0xFFFFFFFFU : value.size), value.bytes());
  }
}

// COPY's text format (documentation of COPY, "Text Format").
void CopyStream::put_text(Row row) {
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (i > 0) {
      buffer_.push_back('\t');
    }
    if (row[i].is_null()) {
      buffer_.append("\\N");
      continue;
    }
    std::string printed;
    std::string_view text = row[i].bytes();
    if (row[i].kind == ValueKind::kBinary) {
      printed = value_text(config_.output.columns[i], row[i]);
      text = printed;
    }
    for (const char c : text) {
      switch (c) {
        case '\\':
          buffer_.append("\\\\");
          break;
        case '\t':
          buffer_.append("\\t");
          break;
        case '\n':
          buffer_.append("\\n");
          break;
        case '\r':
          buffer_.append("\\r");
          break;
        default:
          buffer_.push_back(c);
      }
    }
  }
  buffer_.push_back('\n');
}

}  // namespace headgate::sink::postgres
