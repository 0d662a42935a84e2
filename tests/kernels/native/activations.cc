// Compares sigmoid and tanh in float32 with double precision, for every float between those where
// they are constant. Prints the largest error in units of the last place of the exact result, and
// the largest fall as x rises. Fails if an error is above kBound, or if a function falls.
//
// activations [stride]: every stride-th float; all of them by default, which takes a minute.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "instruction_set.h"

namespace {

constexpr int64_t kAtOnce = 4096;
constexpr double kBound = 2.6;

struct Function {
  const char* name;
  void (*fast)(const float*, float*, int64_t);
  double (*exact)(double);
  double from, to;  // bounds of |x|; beyond them the result is constant, or x itself
};

struct Worst {
  double units = 0, fall = 0;
  float at = 0, fall_at = 0;

  void take(const Worst& other) {
    if (other.units > units) units = other.units, at = other.at;
    if (other.fall > fall) fall = other.fall, fall_at = other.fall_at;
  }
};

double last_place(double y) {
  int exponent;
  std::frexp(y, &exponent);
  return std::ldexp(1.0, exponent - 24);
}

float number(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

uint32_t bits(double x) {
  const float narrow = float(x);
  uint32_t bits;
  std::memcpy(&bits, &narrow, sizeof bits);
  return bits;
}

// Compares at the floats of one sign whose bits are in [first, end), in order of absolute value.
Worst search(const Function& f, uint32_t sign, uint32_t first, uint32_t end, uint32_t stride) {
  Worst worst;
  std::vector<float> x, y(kAtOnce);
  float before = 0;
  bool any = false;
  for (uint32_t b = first; b < end;) {
    x.clear();
    for (; b < end && x.size() < kAtOnce; b += stride) x.push_back(number(b | sign));
    f.fast(x.data(), y.data(), int64_t(x.size()));
    for (size_t n = 0; n < x.size(); ++n) {
      const double wanted = f.exact(x[n]), unit = last_place(wanted);
      const double off = std::isnan(y[n]) ? INFINITY : std::fabs(y[n] - wanted) / unit;
      if (off > worst.units) worst.units = off, worst.at = x[n];
      const double fall = (sign ? y[n] - before : before - y[n]) / unit;
      if (any && fall > worst.fall) worst.fall = fall, worst.fall_at = x[n];
      before = y[n];
      any = true;
    }
  }
  return worst;
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

}  // namespace

int main(int count, char** arguments) {
  const uint32_t stride = count > 1 ? uint32_t(std::atoi(arguments[1])) : 1;
  const jlstm::InstructionSet& set = jlstm::instruction_set();
  // Beyond 87 sigmoid is zero or one; the results between are normal floats.
  const Function functions[] = {
      {"sigmoid", set.float32.sigmoid, sigmoid, 0x1p-26, 87},
      {"tanh", set.float32.tanh, [](double x) { return std::tanh(x); }, 0x1p-30, 12}};
  bool good = true;
  for (const Function& f : functions) {
    const uint32_t first = bits(f.from), end = bits(f.to);
    Worst found[4];
    std::vector<std::thread> threads;
    for (int n = 0; n < 4; ++n)  // either sign, in two halves
      threads.emplace_back([&, n] {
        const uint32_t middle = first + (end - first) / 2, sign = n % 2 ? 0x80000000u : 0;
        found[n] = search(f, sign, n < 2 ? first : middle, n < 2 ? middle : end, stride);
      });
    for (auto& thread : threads) thread.join();
    Worst worst;
    for (const Worst& w : found) worst.take(w);
    std::printf("%s, %s: at most %.2f units off (at %.9g), falls by at most %.2f (at %.9g)\n",
                set.name, f.name, worst.units, worst.at, worst.fall, worst.fall_at);
    good = good && worst.units <= kBound && worst.fall <= 0;
  }
  return good ? 0 : 1;
}
