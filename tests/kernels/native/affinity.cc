// Checks that a task's thread, which is moved to another processor, keeps an affinity mask that is
// set from outside. Replaces the system calls: every thread seems to run on processor 0 and may run
// on all, and the mask changes from outside at a given moment.
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "team.h"

namespace {

enum class Outside { kNever, kWhileMoved, kLater };

cpu_set_t of(std::initializer_list<int> processors) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  for (int processor : processors) CPU_SET(processor, &mask);
  return mask;
}

const cpu_set_t kAll = of({0, 1, 2}), kMoved = of({1, 2}), kOutside = of({0, 2});
std::mutex mutex;
std::map<int, cpu_set_t> masks;  // of every thread whose mask has been set
Outside moment;
int moves;

int id(int thread) { return thread == 0 ? int(syscall(SYS_gettid)) : thread; }

}  // namespace

extern "C" int sched_getcpu() noexcept { return 0; }

extern "C" int sched_getaffinity(int thread, size_t, cpu_set_t* mask) noexcept {
  std::lock_guard<std::mutex> lock(mutex);
  *mask = masks.try_emplace(id(thread), kAll).first->second;
  return 0;
}

extern "C" int sched_setaffinity(int thread, size_t, const cpu_set_t* mask) noexcept {
  std::lock_guard<std::mutex> lock(mutex);
  masks[id(thread)] = *mask;
  if (!CPU_EQUAL(mask, &kMoved)) return 0;
  ++moves;
  if (moment == Outside::kWhileMoved) masks[id(thread)] = kOutside;
  return 0;
}

namespace {

// Runs a call of two shares, in which the mask changes at that moment. Returns whether the helper
// took part in every phase; it leaves early if it loses its processor to another program.
bool run(Outside when, int& helper) {
  constexpr int64_t kPhases = 5;
  moment = when;
  moves = 0;
  std::thread thread;
  std::atomic<int64_t> begun{-1};
  std::atomic<bool> left{false};
  const auto caller = std::this_thread::get_id();
  jlstm::Team team{2, [&](std::function<void()> task) {
                     if (thread.joinable()) return;
                     thread = std::thread([task = std::move(task), &left] {
                       task();
                       left = true;
                     });
                   }};
  team.run(2, kPhases, [&](int64_t phase, int64_t) {
    if (std::this_thread::get_id() == caller) {
      while (begun < phase && !left) std::this_thread::yield();
      return;
    }
    helper = id(0);
    if (phase == 3 && when == Outside::kLater) sched_setaffinity(0, sizeof kOutside, &kOutside);
    begun = phase;
  });
  thread.join();
  return begun == kPhases - 1;
}

}  // namespace

int main() {
  const char* names[] = {"never", "while the helper moves", "later in the call"};
  for (Outside when : {Outside::kNever, Outside::kWhileMoved, Outside::kLater}) {
    int helper = 0;
    while (!run(when, helper)) {
    }
    const cpu_set_t& wanted = when == Outside::kNever ? kAll : kOutside;
    if (moves == 1 && CPU_EQUAL(&masks.at(helper), &wanted)) continue;
    std::printf("mask set from outside %s: wrong after the call\n", names[int(when)]);
    return 1;
  }
  std::printf("masks set from outside are left alone\n");
}
