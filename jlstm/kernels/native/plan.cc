// How a call is divided between threads.
#include <algorithm>
#include <cmath>

#include "recurrence.h"

namespace jlstm {

namespace {

// What the slowest of `shares` takes beside an even division, if each has some rows of the batch.
// Those need no waiting, but each share reads all of W_h, which few rows do not pay for. Measured.
double cost_of_rows(const Sizes& s, double shares) {
  const double rows = std::ceil(s.batch / shares);
  return rows * shares / s.batch * (1 + 0.5 / (rows * rows));
}

// The same if each has some vectors of units, the last of which counts as `last`, and all wait for
// each other after a step.
double cost_of_units(int64_t vectors, double last, double shares, double step_work) {
  const double all = vectors - 1 + last;
  double most = 0;
  for (int64_t n = 0; n < shares; ++n) {
    const int64_t from = vectors * n / shares, to = vectors * (n + 1) / shares;
    most = std::max(most, to - from - (to == vectors ? 1 - last : 0));
  }
  return most * shares / all + 5e3 * shares * shares / step_work;
}

}  // namespace

Plan divide(const Sizes& s, int width, int threads, double last) {
  const int64_t vectors = (s.units + width - 1) / width;
  const double step_work = 8.0 * s.units * s.units * s.batch * s.groups;
  Plan plan;
  const int64_t wanted = std::max(1, threads);
  const double weights = 16.0 * s.units * s.units;  // bytes
  int64_t blocks = 1;
  if (s.groups < wanted) {
    const int64_t needed = (wanted + s.groups - 1) / s.groups;
    const bool tiny = weights <= (1 << 16);
    const bool cached = weights <= (1 << 20);  // in the second cache
    if (tiny || s.batch / 64 >= needed ||
        (cached && s.batch >= needed &&
         cost_of_rows(s, needed) < cost_of_units(vectors, last, needed, step_work / s.groups)))
      blocks = std::max<int64_t>(1, std::min(needed, s.batch));
  }
  if (s.groups * blocks >= wanted) {
    plan.independent = true;
    plan.shares.resize(std::min(wanted, s.groups * blocks));
    for (int64_t n = 0; n < s.groups * blocks; ++n) {
      const int64_t block = n % blocks;
      plan.shares[n % plan.shares.size()].push_back(
          {n / blocks, s.batch * block / blocks, s.batch * (block + 1) / blocks, 0, vectors});
    }
    return plan;
  }
  // Units split between threads, as long as what a thread does in a step outweighs the waiting, and
  // what it does in all its being woken.
  const int64_t all = vectors * s.groups;
  const double most = std::min(step_work / 100e3, step_work * s.steps / 700e3);
  const int64_t paying = std::max<int64_t>(1, int64_t(most));
  const int64_t shares = std::min({wanted, all, paying});
  plan.independent = false;
  plan.shares.resize(shares);
  for (int64_t share = 0; share < shares; ++share) {
    int64_t from = all * share / shares, to = all * (share + 1) / shares;
    while (from < to) {
      const int64_t group = from / vectors, end = std::min(to, (group + 1) * vectors);
      plan.shares[share].push_back(
          {group, 0, s.batch, from - group * vectors, end - group * vectors});
      from = end;
    }
  }
  return plan;
}

}  // namespace jlstm
