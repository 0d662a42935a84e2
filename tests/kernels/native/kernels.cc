// Runs the kernels without XLA, for sanitizers: in every number format, with odd sizes, and with
// threads that start late, never, or all at once. Arrays have exactly their size, so sanitizers see
// every access beyond their ends.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "calls.h"
#include "instruction_set.h"
#include "team.h"

namespace {

template <typename T>
using Array = std::unique_ptr<T[]>;  // sanitizers watch the ends of an array from new[]

struct Numbers {
  std::mt19937 draw{1};
  template <typename T>
  Array<T> of(int64_t count) {
    Array<T> a(new T[count]);
    for (int64_t n = 0; n < count; ++n) {
      const float number = (float(draw() % 2001) - 1000) / 2000;
      if constexpr (std::is_same_v<T, jlstm::bfloat16>) {
        uint32_t bits;
        std::memcpy(&bits, &number, sizeof bits);
        a[n] = T(bits >> 16);
      } else {
        a[n] = number;
      }
    }
    return a;
  }
  std::unique_ptr<uint8_t[]> flags(int64_t count) {
    std::unique_ptr<uint8_t[]> a(new uint8_t[count]);
    for (int64_t n = 0; n < count; ++n) a[n] = draw() % 3 == 0;
    return a;
  }
};

// A pool of at most `starting` threads. Other tasks run after the call has ended.
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

// The bytes of all results of one call, one after another.
template <typename F>
std::string results(jlstm::Sizes s, bool flags, bool shared, int wanted, int starting) {
  Numbers numbers;
  const int64_t all = s.groups * s.steps * s.batch, state = s.groups * s.batch * s.units;
  const int64_t inputs = (shared ? 1 : s.groups) * s.steps * s.batch * s.inputs;
  const int64_t columns = 4 * s.units;
  std::vector<int64_t> reverse(s.groups);
  for (int64_t n = 0; n < s.groups; ++n) reverse[n] = n % 2;
  auto valid = numbers.flags(s.steps * s.batch), resets = numbers.flags(s.steps * s.batch);
  jlstm::Schedule schedule{flags ? valid.get() : nullptr, flags ? resets.get() : nullptr,
                           reverse.data(), 0, 0};
  using Stored = typename F::Stored;
  using Sum = typename F::Sum;
  auto stored = [&](int64_t count) { return numbers.of<Stored>(count); };
  auto sums = [&](int64_t count) { return numbers.of<Sum>(count); };
  auto w_x = stored(s.groups * s.inputs * columns), w_h = stored(s.groups * s.units * columns);
  auto b = sums(s.groups * columns), c = sums(state), h = sums(state);
  auto initial_c = sums(state), initial_h = sums(state);
  auto xs = stored(inputs), hs = stored(all * s.units), h_before = stored(all * s.units);
  auto last_c = sums(state), last_h = sums(state);
  auto gates = sums(all * columns), c_before = sums(all * s.units);
  auto d_hs = stored(all * s.units), d_z = stored(all * columns), d_xs = stored(inputs);
  auto d_c = sums(state), d_h = sums(state), d_initial_c = sums(state), d_initial_h = sums(state);
  auto d_w_x = sums(s.groups * s.inputs * columns), d_w_h = sums(s.groups * s.units * columns);
  auto d_b = sums(s.groups * columns);
  Pool pool(starting);
  jlstm::Team team = pool.team(wanted);
  // Either layout of outputs.
  const jlstm::Outputs outputs = flags ? jlstm::Outputs{s.units, s.groups * s.units}
                                       : jlstm::Outputs{s.steps * s.batch * s.units, s.units};
  jlstm::forward<F>({s, schedule, shared, w_x.get(), w_h.get(), b.get(), c.get(), h.get(),
                     initial_c.get(), initial_h.get(), xs.get(), last_c.get(), last_h.get(),
                     hs.get(), outputs, gates.get(), c_before.get(), h_before.get()},
                    team);
  Stored* slopes = d_z.get();
  if constexpr (std::is_same_v<Stored, Sum>) slopes = gates.get();  // in place
  jlstm::backward<F>(
      {s, schedule, w_h.get(), gates.get(), c_before.get(), last_c.get(), last_h.get(), d_hs.get(),
       outputs, slopes, d_c.get(), d_h.get(), d_initial_c.get(), d_initial_h.get()},
      team);
  jlstm::gradients<F>({s, shared, w_x.get(), xs.get(), h_before.get(), slopes, d_w_x.get(),
                       d_w_h.get(), d_b.get(), d_xs.get()},
                      team);
  std::string made;
  auto add = [&](const auto* a, int64_t count) {
    made.append(reinterpret_cast<const char*>(a), count * sizeof *a);
  };
  add(hs.get(), all * s.units), add(last_c.get(), state), add(last_h.get(), state);
  add(slopes, all * columns), add(d_c.get(), state), add(d_h.get(), state);
  add(d_initial_c.get(), state), add(d_initial_h.get(), state), add(d_xs.get(), inputs);
  add(d_w_x.get(), s.groups * s.inputs * columns), add(d_w_h.get(), s.groups * s.units * columns);
  add(d_b.get(), s.groups * columns);
  return made;
}

template <typename F>
bool agree(const char* format) {
  const jlstm::Sizes sizes[] = {{1, 1, 1, 1, 1},     {1, 5, 3, 2, 7},    {2, 4, 13, 9, 17},
                                {1, 9, 1, 5, 130},   {3, 3, 2, 33, 65},  {2, 6, 1, 3, 200},
                                {1, 4, 40, 70, 90},  {1, 3, 110, 4, 31}, {1, 3, 5, 7, 300},
                                {1, 4, 2, 30, 300},  {1, 6, 4, 9, 200},  {1, 200, 8, 40, 33},
                                {1, 3, 70, 130, 260}};
  for (const jlstm::Sizes& s : sizes)
    for (bool flags : {false, true})
      for (bool shared : {false, true}) {
        if (shared && s.groups == 1) continue;
        const auto alone = results<F>(s, flags, shared || s.groups == 1, 1, 0);
        for (int wanted : {2, 3, 8})
          for (int starting : {0, 1, 7})
            if (results<F>(s, flags, shared || s.groups == 1, wanted, starting) != alone) {
              std::printf("%s: %d threads of which %d start give other results\n", format, wanted,
                          starting);
              return false;
            }
      }
  return true;
}

}  // namespace

int main() {
  if (!agree<jlstm::Float32>("float32") || !agree<jlstm::Float64>("float64") ||
      !agree<jlstm::BFloat16>("bfloat16"))
    return 1;
  std::printf("%s: all results agree\n", jlstm::instruction_set().name);
}
