// Threads that take the phases of a call together.
//
// A call has shares, each of which has to take phases 0, 1, ... in turn; no share may begin a phase
// before all have ended the one before. The calling thread takes share 0, and any other that nobody
// has taken over. A task sent to XLA's pool takes over one share for good when it starts, which may
// be late or never: nothing waits for a task that has not started, so calls within calls and a busy
// pool make progress. What is computed does not depend on who computes it.
#pragma once
#include <sched.h>

#include <atomic>
#include <functional>
#include <memory>
#include <new>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace jlstm {

// Numbers below 2^-126 count as zero while this lives: they would slow a step tenfold.
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

// Moves this thread off a processor for as long as it lives, if it is on it and may be elsewhere.
//
// A thread that wakes up may find itself queued on the processor of the one that woke it, though
// others are idle, and would be left there until the call is over.
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

struct Team {
  int threads;                                          // how many may work at once
  std::function<void(std::function<void()>)> schedule;  // runs a task on another thread, some time

  using Work = std::function<void(int64_t phase, int64_t share)>;

  void run(int64_t shares, int64_t phases, const Work& work) {
    FlushDenormals flush;
    if (shares == 1 || threads == 1) {
      for (int64_t phase = 0; phase < phases; ++phase)
        for (int64_t share = 0; share < shares; ++share) work(phase, share);
      return;
    }
    auto progress = std::make_shared<Progress>(shares, phases, &work);
    try {
      for (int64_t share = 1; share < shares && share < threads; ++share)
        schedule([progress, share] { progress->take_over(share); });
    } catch (const std::bad_alloc&) {
      // Tasks that were sent already may run; the rest is done here.
    }
    progress->lead();
  }

 private:
  // The phases a share has ended, and who has it: nobody, someone for one phase, someone for good.
  static constexpr uint64_t kBusy = 1, kOwned = 2, kOne = 4;

  struct alignas(64) Word {
    std::atomic<uint64_t> value{0};
  };

  struct Progress {
    std::vector<Word> words;
    uint64_t phases;
    const Work* work;                               // alive until all phases have ended
    const int processor = OffProcessor::current();  // of the calling thread

    Progress(int64_t shares, int64_t phases, const Work* work)
        : words(shares), phases(phases), work(work) {}

    uint64_t ended(int64_t share) const {
      return words[share].value.load(std::memory_order_acquire) / kOne;
    }

    static void pause(int& spins) {
      if (++spins < 100) {  // some microseconds; then whoever is waited for may need this processor
#if defined(__x86_64__)
        _mm_pause();
#endif
      } else {
        sched_yield();
      }
    }

    void lead() {
      sched_yield();  // to a task that was queued on this processor, and will move off it
      for (uint64_t phase = 0; phase < phases; ++phase) {
        (*work)(phase, 0);
        words[0].value.store((phase + 1) * kOne + kOwned, std::memory_order_release);
        for (size_t share = 1; share < words.size(); ++share) {
          uint64_t free = phase * kOne;
          if (words[share].value.compare_exchange_strong(free, free + kBusy)) {
            (*work)(phase, share);
            words[share].value.store((phase + 1) * kOne, std::memory_order_release);
          }
        }
        for (size_t share = 1; share < words.size(); ++share) {
          int spins = 0;
          while (ended(share) <= phase) pause(spins);
        }
      }
    }

    void take_over(int64_t share) {
      uint64_t word = words[share].value.load(std::memory_order_acquire);
      if (word / kOne == phases) return;
      OffProcessor off(processor);
      int spins = 0;
      for (;;) {
        // Nothing is left, or just the phase that another is at.
        if (word / kOne + (word & kBusy) == phases) return;
        if (!(word & kBusy) && words[share].value.compare_exchange_weak(word, word | kOwned)) break;
        pause(spins);
        word = words[share].value.load(std::memory_order_acquire);
      }
      FlushDenormals flush;
      for (uint64_t phase = word / kOne; phase < phases; ++phase) {
        for (size_t other = 0; other < words.size(); ++other) {
          spins = 0;
          while (ended(other) < phase) pause(spins);
        }
        (*work)(phase, share);
        words[share].value.store((phase + 1) * kOne + kOwned, std::memory_order_release);
      }
    }
  };
};

}  // namespace jlstm
