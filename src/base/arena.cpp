#include "base/arena.hpp"

#include <algorithm>

namespace headgate {
namespace {

// Most transactions are a row or two: start small, double, and stop where a block is cheap to
// waste.
constexpr std::size_t kFirstBlock = 512;
constexpr std::size_t kLargestBlock = std::size_t{256} * 1024;

}  // namespace

void Arena::add_block(std::size_t at_least) {
  const std::size_t grown =
      block_size_ == 0 ? kFirstBlock : std::min(block_size_ * 2, kLargestBlock);
  // Room for the worst padding as well, so that the caller's second try always fits.
  block_size_ = std::max(grown, at_least + alignof(std::max_align_t));
  blocks_.push_back(std::make_unique_for_overwrite<std::byte[]>(block_size_));
  next_ = 0;
  bytes_reserved_ += block_size_;
}

}  // namespace headgate
