// The program's own operator new and delete. In a file of their own, so that no compiler sees both
// ends of one allocation and takes malloc and free for a mismatch.

#include "allocation_meter.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace headgate::test {

std::size_t largest_allocation = 0;

}  // namespace headgate::test

void* operator new(std::size_t size) {
  using headgate::test::largest_allocation;
  largest_allocation = std::max(largest_allocation, size);
  if (void* place = std::malloc(size == 0 ? 1 : size)) {
    return place;
  }
  throw std::bad_alloc{};
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return std::malloc(size == 0 ? 1 : size);
}
void operator delete(void* place) noexcept {
  std::free(place);
}
void operator delete(void* place, std::size_t) noexcept {
  std::free(place);
}
