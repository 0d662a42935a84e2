// The backward pass of a call: allocates memory and schedules the steps of all shares.
#include <algorithm>
#include <vector>

#include "instruction_set.h"
#include "scratch.h"
#include "team.h"

namespace jlstm {
namespace {

template <typename F>
void begin(const BackwardPass<F>& pass, const Part& part, int width) {
  const Sizes& s = pass.call.sizes;
  const int64_t unit = part.first * width, count = std::min(part.end * width, s.units) - unit;
  for (int64_t row = part.row; row < part.row_end; ++row) {
    const int64_t at = (pass.group * s.batch + row) * s.units + unit, own = row * s.units + unit;
    std::copy_n(pass.call.d_last_c + at, count, pass.d_c + own);
    std::copy_n(pass.call.d_last_h + at, count, pass.d_h + own);
    if (!pass.call.d_initial_c) continue;
    std::fill_n(pass.call.d_initial_c + at, count, typename F::Sum{});
    std::fill_n(pass.call.d_initial_h + at, count, typename F::Sum{});
  }
}

template <typename F>
void end(const BackwardPass<F>& pass, const Part& part, int width) {
  const Sizes& s = pass.call.sizes;
  const int64_t unit = part.first * width, count = std::min(part.end * width, s.units) - unit;
  for (int64_t row = part.row; row < part.row_end; ++row) {
    const int64_t at = (pass.group * s.batch + row) * s.units + unit, own = row * s.units + unit;
    std::copy_n(pass.d_c + own, count, pass.call.d_c + at);
    std::copy_n(pass.d_h + own, count, pass.call.d_h + at);
  }
}

}  // namespace

template <typename F>
void backward(const Backward<F>& call, Team& team) {
  using Sum = typename F::Sum;
  const Sizes& s = call.sizes;
  const Kernels<F>& set = instruction_set().of<F>();
  const Plan plan = divide(s, set.width, team.threads, 1);
  const int64_t lanes = (s.units + set.width - 1) / set.width;
  const int64_t weights = lanes * set.width * words(4 * s.units, set.terms);
  Scratch scratch(s.groups *
                  (Scratch::size<Sum>(weights) + 2 * Scratch::size<Sum>(s.batch * s.units)));
  std::vector<BackwardPass<F>> passes;
  for (int64_t group = 0; group < s.groups; ++group) {
    Sum* packed = scratch.take<Sum>(weights);
    Sum* d_c = scratch.take<Sum>(s.batch * s.units);
    Sum* d_h = scratch.take<Sum>(s.batch * s.units);
    passes.push_back({.call = call, .group = group, .w_h = packed, .d_c = d_c, .d_h = d_h});
  }
  auto take_step = [&](const Part& part, int64_t k) {
    set.backward_step(passes[part.group], part, k);
    if (k == s.steps) end(passes[part.group], part, set.width);
  };
  const int64_t shares = plan.shares.size();
  if (!plan.independent) {
    team.run(shares, s.steps + 1, [&](int64_t k, int64_t share) {
      for (const Part& part : plan.shares[share]) {
        if (k == 0) {
          set.pack_backward(passes[part.group], part.first, part.end);
          begin(passes[part.group], part, set.width);
        }
        take_step(part, k);
      }
    });
    return;
  }
  const int64_t panels = (lanes + set.lanes - 1) / set.lanes;
  team.run(shares, 2, [&](int64_t phase, int64_t share) {
    if (phase == 0) {
      for (int64_t n = share; n < s.groups * panels; n += shares) {
        const int64_t lane = n % panels * set.lanes;
        set.pack_backward(passes[n / panels], lane, std::min<int64_t>(lane + set.lanes, lanes));
      }
      return;
    }
    for (const Part& part : plan.shares[share]) {
      begin(passes[part.group], part, set.width);
      for (int64_t k = 0; k <= s.steps; ++k) take_step(part, k);
    }
  });
}

template void backward(const Backward<Float32>&, Team&);
template void backward(const Backward<Float64>&, Team&);
template void backward(const Backward<BFloat16>&, Team&);

}  // namespace jlstm
