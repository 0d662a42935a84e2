// Working memory of a call.
//
// For short sequences, page faults of fresh memory cost more than the computation. A few blocks are
// therefore cached for the next call, at most kKept bytes in total. Larger blocks are freed at
// once.
#pragma once
#include <cstddef>
#include <cstdint>

namespace jlstm {

// Requests huge pages for a large array before it is written, for far fewer page faults.
void expect_writes(void* start, size_t bytes);

class Scratch {
 public:
  explicit Scratch(size_t bytes);  // throws std::bad_alloc
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  // The next `count` numbers of the block, aligned to a cache line.
  template <typename T>
  T* take(int64_t count) {
    return static_cast<T*>(take_bytes(size<T>(count)));
  }

  template <typename T>
  static size_t size(int64_t count) {
    return (count * sizeof(T) + 63) / 64 * 64;
  }

  static constexpr size_t kKept = size_t{128} << 20;

 private:
  void* take_bytes(size_t bytes);

  char* block_;
  size_t bytes_, used_ = 0;
};

}  // namespace jlstm
