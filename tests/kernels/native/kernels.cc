// Runs the kernels without XLA, for sanitizers: every access of many odd sizes, and threads that
// start late, never, or all at once. Arrays have exactly their size, so that a step beyond is seen.
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "recurrence.h"
#include "team.h"

namespace {

using Array = std::unique_ptr<float[]>;  // from new[]: its ends are watched

struct Numbers {
  std::mt19937 draw{1};
  Array operator()(int64_t count) {
    Array a(new float[count]);
    for (int64_t n = 0; n < count; ++n) a[n] = (float(draw() % 2001) - 1000) / 2000;
    return a;
  }
  std::unique_ptr<uint8_t[]> flags(int64_t count) {
    std::unique_ptr<uint8_t[]> a(new uint8_t[count]);
    for (int64_t n = 0; n < count; ++n) a[n] = draw() % 3 == 0;
    return a;
  }
};

// A pool of `starting` threads at most; other tasks are kept and run when the call has ended.
struct Pool {
  std::vector<std::thread> threads;
  std::vector<std::function<void()>> late;
  int starting;

  explicit Pool(int starting) : starting(starting) {}
  jlstm::Team team(int wanted) {
    return {wanted, [this](std::function<void()> task) {
              if (int(threads.size()) < starting) {
                threads.emplace_back(std::move(task));
              } else {
                late.push_back(std::move(task));
              }
            }};
  }
  ~Pool() {
    for (auto& task : late) task();
    for (auto& thread : threads) thread.join();
  }
};

// All results of one call, one after another.
std::vector<float> results(jlstm::Sizes s, bool flags, bool shared, int wanted, int starting) {
  Numbers numbers;
  const int64_t all = s.groups * s.steps * s.batch, state = s.groups * s.batch * s.units;
  const int64_t inputs = (shared ? 1 : s.groups) * s.steps * s.batch * s.inputs;
  const int64_t columns = 4 * s.units;
  std::vector<int64_t> reverse(s.groups);
  for (int64_t n = 0; n < s.groups; ++n) reverse[n] = n % 2;
  auto valid = numbers.flags(s.steps * s.batch), resets = numbers.flags(s.steps * s.batch);
  jlstm::Schedule schedule{flags ? valid.get() : nullptr, flags ? resets.get() : nullptr,
                           reverse.data(), 0, 0};
  Array w_x = numbers(s.groups * s.inputs * columns), w_h = numbers(s.groups * s.units * columns);
  Array b = numbers(s.groups * columns), c = numbers(state), h = numbers(state);
  Array initial_c = numbers(state), initial_h = numbers(state), xs = numbers(inputs);
  Array last_c = numbers(state), last_h = numbers(state), hs = numbers(all * s.units);
  Array gates = numbers(all * columns), c_before = numbers(all * s.units);
  Array h_before = numbers(all * s.units), d_hs = numbers(all * s.units);
  Array d_c = numbers(state), d_h = numbers(state);
  Array d_initial_c = numbers(state), d_initial_h = numbers(state);
  Array d_w_x = numbers(s.groups * s.inputs * columns);
  Array d_w_h = numbers(s.groups * s.units * columns), d_b = numbers(s.groups * columns);
  Array d_xs = numbers(inputs);
  Pool pool(starting);
  jlstm::Team team = pool.team(wanted);
  // Either layout of outputs, with and without rounding.
  const jlstm::Outputs outputs = flags ? jlstm::Outputs{s.units, s.groups * s.units}
                                       : jlstm::Outputs{s.steps * s.batch * s.units, s.units};
  jlstm::forward({s, schedule, shared, flags, w_x.get(), w_h.get(), b.get(), c.get(), h.get(),
                  initial_c.get(), initial_h.get(), xs.get(), last_c.get(), last_h.get(), hs.get(),
                  outputs, gates.get(), c_before.get(), h_before.get()},
                 team);
  jlstm::backward(
      {s, schedule, w_h.get(), gates.get(), c_before.get(), last_c.get(), last_h.get(), d_hs.get(),
       outputs, gates.get(), d_c.get(), d_h.get(), d_initial_c.get(), d_initial_h.get()},
      team);
  jlstm::gradients({s, shared, w_x.get(), xs.get(), h_before.get(), gates.get(), d_w_x.get(),
                    d_w_h.get(), d_b.get(), d_xs.get()},
                   team);
  std::vector<float> made(hs.get(), hs.get() + all * s.units);
  auto add = [&](const Array& a, int64_t count) {
    made.insert(made.end(), a.get(), a.get() + count);
  };
  add(last_c, state), add(last_h, state), add(gates, all * columns), add(d_c, state);
  add(d_h, state), add(d_initial_c, state), add(d_initial_h, state), add(d_xs, inputs);
  add(d_w_x, s.groups * s.inputs * columns), add(d_w_h, s.groups * s.units * columns);
  add(d_b, s.groups * columns);
  return made;
}

}  // namespace

int main() {
  const jlstm::Sizes sizes[] = {{1, 1, 1, 1, 1},     {1, 5, 3, 2, 7},    {2, 4, 13, 9, 17},
                                {1, 9, 1, 5, 130},   {3, 3, 2, 33, 65},  {2, 6, 1, 3, 200},
                                {1, 4, 40, 70, 90},  {1, 3, 110, 4, 31}, {1, 3, 5, 7, 300},
                                {1, 4, 2, 30, 300},  {1, 6, 4, 9, 200},  {1, 200, 8, 40, 33},
                                {1, 3, 70, 130, 260}};
  for (const jlstm::Sizes& s : sizes)
    for (bool flags : {false, true})
      for (bool shared : {false, true}) {
        if (shared && s.groups == 1) continue;
        const auto alone = results(s, flags, shared || s.groups == 1, 1, 0);
        for (int wanted : {2, 3, 8})
          for (int starting : {0, 1, 7})
            if (results(s, flags, shared || s.groups == 1, wanted, starting) != alone) {
              std::printf("%d threads of which %d start give other results\n", wanted, starting);
              return 1;
            }
      }
  std::printf("%s: all results agree\n", jlstm::kernels().name);
}
