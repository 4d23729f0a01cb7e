// A growing block of memory that is freed all at once: the rows of one transaction live in one.

#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace headgate {

// Hands out memory that stays where it is until the arena dies; moving the arena moves no byte.
// Not thread-safe while it is written; read from any thread afterwards.
class Arena {
 public:
  Arena() = default;
  // Leaves `other` empty and usable.
  Arena(Arena&& other) noexcept
      : blocks_(std::exchange(other.blocks_, {})),
        block_size_(std::exchange(other.block_size_, 0)),
        next_(std::exchange(other.next_, 0)),
        bytes_reserved_(std::exchange(other.bytes_reserved_, 0)) {}
  Arena& operator=(Arena&& other) noexcept {
    if (this != &other) {
      blocks_ = std::exchange(other.blocks_, {});
      block_size_ = std::exchange(other.block_size_, 0);
      next_ = std::exchange(other.next_, 0);
      bytes_reserved_ = std::exchange(other.bytes_reserved_, 0);
    }
    return *this;
  }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // A copy of `bytes` that lives as long as the arena.
  std::string_view copy(std::string_view bytes) {
    if (bytes.empty()) {
      return {};
    }
    char* place = static_cast<char*>(allocate(bytes.size(), 1));
    std::memcpy(place, bytes.data(), bytes.size());
    return {place, bytes.size()};
  }

  // An array of value-initialised elements; no destructor will run.
  template <typename T>
  std::span<T> array(std::size_t count) {
    static_assert(std::is_trivially_destructible_v<T>);
    if (count == 0) {
      return {};
    }
    void* place = allocate(count * sizeof(T), alignof(T));
    T* first = static_cast<T*>(place);
    for (std::size_t i = 0; i < count; ++i) {
      ::new (static_cast<void*>(first + i)) T{};
    }
    return {first, count};
  }

  // Bytes taken from the system, used or not: what the arena costs.
  std::size_t bytes_reserved() const { return bytes_reserved_; }

 private:
  void* allocate(std::size_t size, std::size_t alignment) {
    const std::size_t padding = (alignment - next_ % alignment) % alignment;
    if (next_ + padding + size > block_size_) {
      add_block(size);
      return allocate(size, alignment);
    }
    void* place = blocks_.back().get() + next_ + padding;
    next_ += padding + size;
    return place;
  }

  void add_block(std::size_t at_least);

  std::vector<std::unique_ptr<std::byte[]>> blocks_;
  std::size_t block_size_ = 0;  // of the last block
  std::size_t next_ = 0;        // first free byte of the last block
  std::size_t bytes_reserved_ = 0;
};

}  // namespace headgate
