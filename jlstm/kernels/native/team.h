// Threads that take the phases of a call together.
//
// A call has shares, each of which has to take phases 0, 1, ... in turn; no share may begin a phase
// before all have ended the one before. The calling thread takes share 0, and a phase of any other
// that nobody has begun by then. A task sent to XLA's pool stands at one share when it starts,
// which may be late or never: nothing waits for a thread that has not begun, only for one that is
// at work, so calls within calls, a busy pool and a busy machine make progress. What is computed
// does not depend on who computes it.
#pragma once
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <new>
#include <vector>

#include "thread.h"

namespace jlstm {

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
    for (int64_t share = 1; share < shares && share < threads; ++share) offer(progress, share);
    lead(progress);
  }

 private:
  using Clock = std::chrono::steady_clock;

  struct alignas(64) Share {
    // How many phases have ended, whether somebody is at the next, and whether a task stands by.
    static constexpr uint64_t kBusy = 1, kAttended = 2, kOne = 4;
    std::atomic<uint64_t> word{0};
    std::atomic<bool> dismissed{false};  // the task is asked to leave
    Clock::time_point again{};           // when another may come; of the calling thread alone

    uint64_t ended() const { return word.load(std::memory_order_acquire) / kOne; }

    // Takes that phase, unless it has been begun.
    bool take(uint64_t phase, int64_t share, const Work& work) {
      uint64_t seen = word.load(std::memory_order_acquire);
      do {
        if (seen / kOne != phase || (seen & kBusy)) return false;
      } while (!word.compare_exchange_weak(seen, seen + kBusy, std::memory_order_acq_rel));
      work(phase, share);
      word.fetch_add(kOne - kBusy, std::memory_order_release);
      return true;
    }
  };

  struct Progress {
    std::vector<Share> shares;
    const uint64_t phases;
    const Work* work;                               // alive until all phases have ended
    const int processor = OffProcessor::current();  // of the calling thread
    const Clock::time_point began = Clock::now();

    Progress(int64_t shares, int64_t phases, const Work* work)
        : shares(shares), phases(phases), work(work) {}

    bool take(uint64_t phase, size_t share) { return shares[share].take(phase, share, *work); }

    // Of a task: takes the phases of a share until all have ended or it is asked to leave.
    void attend(size_t share) {
      Share& own = shares[share];
      uint64_t word = own.word.load(std::memory_order_acquire);
      do {
        if (word / Share::kOne == phases || (word & Share::kAttended)) return;
      } while (!own.word.compare_exchange_weak(word, word | Share::kAttended));
      OffProcessor off(processor);
      FlushDenormals flush;
      for (uint64_t phase = word / Share::kOne; phase < phases && !own.dismissed; ++phase) {
        for (const Share& other : shares)
          for (int spins = 0; other.ended() < phase;) pause(spins);
        take(phase, share);
      }
      own.word.fetch_and(~Share::kAttended);
    }
  };

  static void pause(int& spins) {
    if (++spins < 1000) {  // some ten microseconds; then others may need this processor
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
      // The calling thread takes that share.
    }
  }

  void lead(const std::shared_ptr<Progress>& progress) const {
    std::vector<Share>& shares = progress->shares;
    sched_yield();  // to a task that was queued on this processor, and will move off it
    for (uint64_t phase = 0; phase < progress->phases; ++phase) {
      progress->take(phase, 0);
      for (size_t share = 1; share < shares.size(); ++share)
        if (progress->take(phase, share)) call_back(progress, share);
      for (size_t share = 1; share < shares.size(); ++share) wait(*progress, share, phase);
    }
  }

  // Until that phase of a share has ended. A task that is late in it must have lost its processor
  // to another program: it is asked to leave, as it will be late again.
  static void wait(Progress& progress, size_t share, uint64_t phase) {
    Share& other = progress.shares[share];
    int spins = 0;
    while (spins < 1000 && other.ended() <= phase) pause(spins);
    if (other.ended() > phase) return;
    const Clock::time_point from = Clock::now();
    while (other.ended() <= phase) pause(spins);
    const Clock::duration waited = Clock::now() - from;
    const Clock::duration usual = (from - progress.began) / (phase + 1);
    if (waited < usual || waited < std::chrono::microseconds(100)) return;
    other.again = Clock::now() + 8 * waited;
    other.dismissed = true;
  }

  // Asks for a task at a share whose last one has left some time ago.
  void call_back(const std::shared_ptr<Progress>& progress, size_t share) const {
    Share& other = progress->shares[share];
    if (!other.dismissed.load(std::memory_order_relaxed)) return;
    if (other.word.load(std::memory_order_acquire) & Share::kAttended) return;
    if (Clock::now() < other.again) return;
    other.dismissed = false;
    offer(progress, share);
  }
};

}  // namespace jlstm
