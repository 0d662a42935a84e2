// Memory that a call works in.
//
// Fresh pages cost more than what is done in them where a sequence is short, so that a few blocks
// are kept for the next call: at most kKept bytes in all; larger ones go back at once.
#pragma once
#include <cstddef>
#include <cstdint>

namespace jlstm {

// Asks for huge pages behind a large array that has not been written yet: a thousandth of the
// faults.
void expect_writes(void* start, size_t bytes);

class Scratch {
 public:
  explicit Scratch(size_t bytes);  // throws std::bad_alloc
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  // The next `count` floats of the block, aligned to a cache line.
  float* take(int64_t count);
  static size_t size(int64_t count) { return (count * sizeof(float) + 63) / 64 * 64; }

  static constexpr size_t kKept = size_t{128} << 20;

 private:
  char* block_;
  size_t bytes_, used_ = 0;
};

}  // namespace jlstm
