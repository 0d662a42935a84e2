// Threads that run the phases of a call together.
//
// A call has several shares. Each share runs phases 0, 1, ... in order, and no share may begin a
// phase before all shares have ended the phase before it. The calling thread runs share 0. It also
// runs a phase of any other share that no thread has begun by then.
//
// Every other share gets a task in XLA's pool, which may start late or never. The caller waits only
// for a thread that is running a phase, never for one that has not begun. Nested calls, a busy pool
// and a busy machine therefore make progress. Results do not depend on which thread computes them.
#pragma once
#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <new>
#include <vector>

#include "thread.h"

namespace jlstm {

struct Team {
  int threads;                                          // maximum number of threads
  std::function<void(std::function<void()>)> schedule;  // queues a task for another thread

  using Work = std::function<void(int64_t phase, int64_t share)>;

  void run(int64_t shares, int64_t phases, const Work& work) {
    FlushDenormals flush;
    if (shares == 1 || threads == 1) {
      for (int64_t phase = 0; phase < phases; ++phase)
        for (int64_t share = 0; share < shares; ++share) work(phase, share);
      return;
    }
    auto progress = std::make_shared<Progress>(shares, phases, &work);
    for (int64_t share = 1; share < shares && share < threads; ++share) offer(progress, share);
    lead(progress);
  }

 private:
  using Clock = std::chrono::steady_clock;

  struct Share {
    // Twice the number of phases that have begun, plus one while a task attends to the share. On a
    // different cache line from the fields that the calling thread reads in every phase.
    alignas(64) std::atomic<uint64_t> begun{0};
    std::atomic<bool> dismissed{false};  // tells the task to end
    alignas(64) std::atomic<uint64_t> ended{0};
    // The task's thread, if it began on the processor of the calling thread, which moves it.
    std::atomic<int> beside_caller{0};
    // Used by the calling thread alone: whether it ran the last phase, and when it may schedule a
    // new task.
    alignas(64) bool taken = true;
    Clock::time_point again{};

    bool waits_for(uint64_t phase) const { return ended.load(std::memory_order_acquire) <= phase; }

    // Runs the phase, unless another thread has begun it.
    bool take(uint64_t phase, int64_t share, const Work& work) {
      uint64_t seen = begun.load(std::memory_order_acquire);
      do {
        if (seen / 2 != phase) return false;
      } while (!begun.compare_exchange_weak(seen, seen + 2, std::memory_order_acq_rel));
      work(phase, share);
      ended.store(phase + 1, std::memory_order_release);
      return true;
    }
  };

  struct Progress {
    std::vector<Share> shares;
    const uint64_t phases;
    const Work* work;                           // alive until all phases have ended
    const int processor = current_processor();  // of the calling thread

    Progress(int64_t shares, int64_t phases, const Work* work)
        : shares(shares), phases(phases), work(work) {}

    bool take(uint64_t phase, size_t share) { return shares[share].take(phase, share, *work); }

    // Body of a task: runs the phases of a share until all have begun or the task is dismissed.
    void attend(size_t share) {
      Share& own = shares[share];
      uint64_t begun = own.begun.load(std::memory_order_acquire);
      do {
        if (begun / 2 == phases || begun % 2) return;
      } while (!own.begun.compare_exchange_weak(begun, begun + 1));
      if (const int thread = this_thread_if_on(processor)) {
        own.beside_caller = thread;
        sched_yield();  // lets the calling thread move this one
      }
      FlushDenormals flush;
      for (uint64_t phase = begun / 2; phase < phases && !own.dismissed; ++phase) {
        if (phase > 0)
          for (const Share& other : shares)
            for (int spins = 0; other.waits_for(phase - 1);) pause(spins);
        take(phase, share);
      }
      own.beside_caller = 0;
      --own.begun;
    }
  };

  static constexpr int kMoment = 10;  // pauses within which a running task begins its phase
  static constexpr int kSpins = 100;  // pauses after which the processor is yielded to others

  static void pause(int& spins) {
    if (++spins < kSpins) {
#if defined(__x86_64__)
      _mm_pause();
#endif
    } else {
      sched_yield();
    }
  }

  void offer(const std::shared_ptr<Progress>& progress, size_t share) const {
    try {
      schedule([progress, share] { progress->attend(share); });
    } catch (const std::bad_alloc&) {
      // The calling thread runs that share instead.
    }
  }

  void lead(const std::shared_ptr<Progress>& progress) const {
    std::vector<Share>& shares = progress->shares;
    sched_yield();  // lets a task start that is queued on this processor
    for (uint64_t phase = 0; phase < progress->phases; ++phase) {
      for (size_t share = 1; share < shares.size(); ++share) make_room(shares[share]);
      const Clock::time_point began = Clock::now();
      progress->take(phase, 0);
      for (size_t share = 1; share < shares.size(); ++share) {
        if (!shares[share].taken) continue;
        shares[share].taken = progress->take(phase, share);
        call_back(progress, share);
      }
      for (size_t share = 1; share < shares.size(); ++share) finish(*progress, share, phase, began);
    }
  }

  // Moves the thread of a task that began on this processor. The system may have queued it here
  // although others are idle. It would stay until the call is over.
  static void make_room(Share& other) {
    if (other.beside_caller.load(std::memory_order_relaxed) == 0) return;
    if (const int thread = other.beside_caller.exchange(0)) move_off_this_processor(thread);
  }

  // Waits until a phase of a share has ended, or runs it. A task that takes twice as long as the
  // calling thread took for its phase has probably lost its processor to another program. It would
  // be late again, so it is dismissed.
  static void finish(Progress& progress, size_t share, uint64_t phase, Clock::time_point began) {
    Share& other = progress.shares[share];
    int spins = 0;
    while (spins < kMoment && other.waits_for(phase)) pause(spins);
    if (!other.waits_for(phase) || (other.taken = progress.take(phase, share))) return;
    while (spins < kSpins && other.waits_for(phase)) pause(spins);
    if (!other.waits_for(phase)) return;
    const Clock::time_point from = Clock::now();
    while (other.waits_for(phase)) pause(spins);
    const Clock::time_point to = Clock::now();
    if (to - from < std::max<Clock::duration>(from - began, std::chrono::microseconds(100))) return;
    other.again = to + 8 * (to - from);
    other.dismissed = true;
  }

  // Schedules a new task for a share whose last one was dismissed some time ago.
  void call_back(const std::shared_ptr<Progress>& progress, size_t share) const {
    Share& other = progress->shares[share];
    if (!other.dismissed.load(std::memory_order_relaxed)) return;
    if (other.begun.load(std::memory_order_acquire) % 2 || Clock::now() < other.again) return;
    other.dismissed = false;
    offer(progress, share);
  }
};

}  // namespace jlstm
