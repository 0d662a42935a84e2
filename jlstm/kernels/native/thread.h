// Settings of a thread while it works, restored afterwards.
#pragma once
#include <sched.h>

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace jlstm {

// Flushes denormals (below 2^-126) to zero during its lifetime: they would slow a step tenfold.
class FlushDenormals {
 public:
#if defined(__x86_64__)
  FlushDenormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040); }
  ~FlushDenormals() { _mm_setcsr(before_); }

 private:
  unsigned before_;
#elif defined(__aarch64__)
  FlushDenormals() {
    asm volatile("mrs %0, fpcr" : "=r"(before_));
    asm volatile("msr fpcr, %0" ::"r"(before_ | (1ull << 24)));
  }
  ~FlushDenormals() { asm volatile("msr fpcr, %0" ::"r"(before_)); }

 private:
  uint64_t before_;
#else
  FlushDenormals() {}
#endif
};

// Moves this thread off a processor during its lifetime, if the thread may run on another one.
//
// A thread may be queued on the processor of the thread that woke it although others are idle. It
// would stay there until the call is over.
class OffProcessor {
 public:
#if defined(__linux__)
  explicit OffProcessor(int processor) {
    if (processor < 0 || sched_getcpu() != processor) return;
    if (sched_getaffinity(0, sizeof before_, &before_) != 0) return;
    cpu_set_t others = before_;
    CPU_CLR(processor, &others);
    moved_ = CPU_COUNT(&others) > 0 && sched_setaffinity(0, sizeof others, &others) == 0;
  }
  ~OffProcessor() {
    if (moved_) sched_setaffinity(0, sizeof before_, &before_);
  }
  static int current() { return sched_getcpu(); }

 private:
  cpu_set_t before_;
  bool moved_ = false;
#else
  explicit OffProcessor(int) {}
  static int current() { return -1; }
#endif
};

}  // namespace jlstm
