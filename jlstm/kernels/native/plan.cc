// Divides a call among threads.
#include "plan.h"

#include <algorithm>

namespace jlstm {

namespace {

// Time of the slowest of `shares` relative to an even division, if each has some rows of the batch.
// Such shares do not wait for each other, but each reads all of W_h, which is expensive for few
// rows. The constants here and below were measured for the forward pass.
double cost_of_rows(const Sizes& s, int64_t shares) {
  const double rows = double((s.batch + shares - 1) / shares);
  return rows * double(shares) / double(s.batch) * (1 + 0.5 / (rows * rows));
}

// The same if `dividing` shares have some vectors of units each, and wait for each other after
// every step. The last vector costs `last` relative to a full one.
double cost_of_units(int64_t vectors, double last, int64_t dividing, int64_t shares,
                     double step_work) {
  double most = 0;
  for (int64_t n = 0; n < dividing; ++n) {
    const int64_t from = vectors * n / dividing, to = vectors * (n + 1) / dividing;
    most = std::max(most, double(to - from) - (to == vectors ? 1 - last : 0));
  }
  const double even = (double(vectors) - 1 + last) / double(shares);
  return most / even + 5e3 * double(dividing * dividing) / step_work;
}

}  // namespace

Plan divide(const Sizes& s, int width, int threads, double last) {
  const int64_t vectors = (s.units + width - 1) / width, all = vectors * s.groups;
  const double step_work = 8.0 * s.units * s.units * s.batch * s.groups;
  Plan plan;
  const int64_t wanted = std::max(1, threads);
  // A thread's work in a call must outweigh the cost of waking it. If shares wait for each other,
  // its work in a step must outweigh the cost of waiting.
  const double waking = step_work * s.steps / 700e3, waiting = step_work / 100e3;
  const int64_t paying = std::max<int64_t>(1, int64_t(std::min(waking, waiting)));
  const int64_t dividing = std::min({wanted, all, paying});  // shares, if units are divided
  int64_t blocks = 1;
  if (s.groups < wanted) {
    const int64_t needed = (wanted + s.groups - 1) / s.groups;
    const double weights = 16.0 * s.units * s.units;  // bytes
    const bool tiny = weights <= (1 << 16);
    const bool cached = weights <= (1 << 20);  // W_h fits the second-level cache
    auto rows_are_faster = [&] {
      return cost_of_rows(s, needed) < cost_of_units(vectors, last,
                                                     std::max<int64_t>(1, dividing / s.groups),
                                                     needed, step_work / s.groups);
    };
    if (tiny || s.batch / 64 >= needed ||
        (cached && s.batch >= needed && waking >= double(wanted) && rows_are_faster()))
      blocks = std::min(needed, s.batch);
  }
  if (s.groups * blocks >= wanted) {
    plan.independent = true;
    plan.shares.resize(std::min(wanted, s.groups * blocks));
    for (int64_t n = 0; n < s.groups * blocks; ++n) {
      const int64_t block = n % blocks;
      plan.shares[n % plan.shares.size()].push_back({.group = n / blocks,
                                                     .row = s.batch * block / blocks,
                                                     .row_end = s.batch * (block + 1) / blocks,
                                                     .first = 0,
                                                     .end = vectors});
    }
    return plan;
  }
  plan.independent = false;
  plan.shares.resize(dividing);
  for (int64_t share = 0; share < dividing; ++share) {
    int64_t from = all * share / dividing, to = all * (share + 1) / dividing;
    while (from < to) {
      const int64_t group = from / vectors, end = std::min(to, (group + 1) * vectors);
      plan.shares[share].push_back({.group = group,
                                    .row = 0,
                                    .row_end = s.batch,
                                    .first = from - group * vectors,
                                    .end = end - group * vectors});
      from = end;
    }
  }
  return plan;
}

}  // namespace jlstm
