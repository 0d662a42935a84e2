// Checks that every phase of every share runs once, and only after all shares have ended the phase
// before it, also if threads are late. A task that lost its processor must be scheduled again
// later.
#include "team.h"

#include <cstdio>
#include <random>
#include <thread>
#include <utility>

namespace {

using std::chrono::milliseconds;

// Runs shares whose phases sleep as long as `sleeps` says. Returns the number of scheduled tasks,
// or -1 if a phase was left out, ran twice or began too early.
template <typename Sleeps>
int tasks_of(int64_t shares, int64_t phases, const Sleeps& sleeps) {
  std::vector<std::thread> threads;
  int tasks = 0;
  std::vector<std::atomic<int64_t>> ended(shares);
  std::atomic<bool> right{true};
  const auto caller = std::this_thread::get_id();
  jlstm::Team team{int(shares), [&](std::function<void()> task) {
                     ++tasks;
                     threads.emplace_back(std::move(task));
                   }};
  team.run(shares, phases, [&](int64_t phase, int64_t share) {
    for (const auto& other : ended)
      if (other < phase) right = false;
    std::this_thread::sleep_for(sleeps(std::this_thread::get_id() == caller, phase, share));
    if (ended[share]++ != phase) right = false;
  });
  for (auto& thread : threads) thread.join();
  for (const auto& share : ended)
    if (share != phases) right = false;
  return right ? tasks : -1;
}

}  // namespace

int main() {
  std::mt19937 draw{1};
  for (int64_t shares : {2, 3, 8})
    for (int64_t phases : {1, 2, 300}) {
      std::vector<int> times(shares * phases);
      for (int& time : times) time = draw() % 50 == 0 ? draw() % 300 : 0;
      const int tasks = tasks_of(shares, phases, [&](bool, int64_t phase, int64_t share) {
        return std::chrono::microseconds(times[phase * shares + share]);
      });
      if (tasks < 0) {
        std::printf("%d phases of %d shares: some did not run once and in order\n", int(phases),
                    int(shares));
        return 1;
      }
    }
  bool lost = false;  // whether the task has lost its processor, which happens once
  const int tasks = tasks_of(2, 3000, [&](bool caller, int64_t, int64_t) {
    if (caller) return std::chrono::microseconds(100);
    return std::chrono::microseconds(std::exchange(lost, true) ? 0 : 20000);
  });
  if (tasks < 2) {
    std::printf("a task that was late once was not scheduled again\n");
    return 1;
  }
  std::printf("all phases ran once and in order, with late threads\n");
}
