// How a thread treats denormals while it works, and the processor on which it runs.
#pragma once
#include <sched.h>

#include <cstdint>

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace jlstm {

// Flushes denormals (in float32, numbers below 2^-126) to zero during its lifetime. They would slow
// a step tenfold.
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

// Processor of this thread, or -1 if unknown.
inline int current_processor() {
#if defined(__linux__)
  return sched_getcpu();
#else
  return -1;
#endif
}

// Identifies this thread if it runs on a processor; otherwise 0.
inline int this_thread_if_on(int processor) {
#if defined(__linux__)
  if (processor >= 0 && sched_getcpu() == processor) return int(syscall(SYS_gettid));
#endif
  (void)processor;
  return 0;
}

// Moves another thread off the processor of this thread, if it may run on another one.
//
// A program outside may set affinity masks at any time, so the narrower mask must be in force for
// as short as possible. A thread that moves itself gets no further until the other processor has
// time for it. A thread that waits for a processor is moved at once. The mask is not restored if it
// has been set from outside meanwhile. What remains is a change from outside between two successive
// system calls, or one to the very mask that is set here.
inline void move_off_this_processor(int thread) {
#if defined(__linux__)
  const int processor = sched_getcpu();
  cpu_set_t before, others, now;
  if (processor < 0 || sched_getaffinity(thread, sizeof before, &before) != 0) return;
  others = before;
  CPU_CLR(processor, &others);
  if (CPU_COUNT(&others) == 0 || CPU_EQUAL(&others, &before)) return;
  if (sched_setaffinity(thread, sizeof others, &others) != 0) return;
  if (sched_getaffinity(thread, sizeof now, &now) == 0 && CPU_EQUAL(&now, &others))
    sched_setaffinity(thread, sizeof before, &before);
#else
  (void)thread;
#endif
}

}  // namespace jlstm
