// Who takes which phase: every phase of every share once, none before all have ended the one
// before, also when threads are late, and a thread that lost its processor is called back later.
#include "team.h"

#include <cstdio>
#include <random>
#include <thread>
#include <utility>

namespace {

using std::chrono::milliseconds;

// Runs phases of shares that sleep where `sleeps` says; gives how many tasks were asked for, or -1
// if a phase was left out, taken twice or begun too early.
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
        std::printf("%d phases of %d shares: not each once and in turn\n", int(phases),
                    int(shares));
        return 1;
      }
    }
  bool lost = false;  // once, a thread of the pool is away in the middle of its work
  const int tasks = tasks_of(2, 3000, [&](bool caller, int64_t, int64_t) {
    if (caller) return std::chrono::microseconds(100);
    return std::chrono::microseconds(std::exchange(lost, true) ? 0 : 20000);
  });
  if (tasks < 2) {
    std::printf("a thread that was late once was not called back\n");
    return 1;
  }
  std::printf("phases in turn, with threads that come late and go\n");
}
