// The backward pass of the recurrence, from the last step to the first: the transpose of
// `derivative` in jlstm/kernels/fused_as_scans.py.
//
// The loop computes only d_z, the cotangent of the pre-activations. The gradients of weights and
// inputs are products with d_z over all steps, computed outside the loop.
#pragma once
#include "../passes.h"
#include "../plan.h"
#include "activations.h"
#include "product.h"

namespace JLSTM_ISA {

using jlstm::BackwardPass;
using jlstm::Part;
using jlstm::Sizes;

template <typename F>
static void pack_backward(const BackwardPass<F>& pass, int64_t first, int64_t end) {
  constexpr int kWidth = JLSTM_ISA::kWidth<typename F::Sum>;
  const int64_t units = pass.call.sizes.units;
  const auto* w = pass.call.w_h + pass.group * units * 4 * units;
  for (int64_t lane = first; lane < end; lane += kLanes)
    pack_transposed<F>(w, units, 4 * units, lane * kWidth, int(smaller(kLanes, end - lane)),
                       pass.w_h + lane * kWidth * words<F>(4 * units));
}

// Stores sums of the units of L vectors, from vector `lane` on, in the rows `out` of d_h.
template <typename F, int R, int L>
__attribute__((always_inline)) static inline void put(const BackwardPass<F>& pass,
                                                      const Sums<F, R, L>& sums,
                                                      typename F::Sum* const* out, int64_t lane) {
  constexpr int kWidth = JLSTM_ISA::kWidth<typename F::Sum>;
  for (int r = 0; r < R; ++r)
    for (int l = 0; l < L; ++l) {
      const int64_t unit = (lane + l) * kWidth;
      store(out[r] + unit, sums.of[r][l], int(smaller(kWidth, pass.call.sizes.units - unit)));
    }
}

// Loads the sums that `put` has stored.
template <typename F, int R, int L>
__attribute__((always_inline)) static inline Sums<F, R, L> get(const BackwardPass<F>& pass,
                                                               typename F::Sum* const* out,
                                                               int64_t lane) {
  constexpr int kWidth = JLSTM_ISA::kWidth<typename F::Sum>;
  Sums<F, R, L> sums;
  for (int r = 0; r < R; ++r)
    for (int l = 0; l < L; ++l) {
      const int64_t unit = (lane + l) * kWidth;
      sums.of[r][l] = load(out[r] + unit, int(smaller(kWidth, pass.call.sizes.units - unit)));
    }
  return sums;
}

// d_z W_h^T for `count` rows of d_z and the panel that begins at vector `lane`. Prefetches the
// panel at `next_lane`, if that is not negative.
template <typename F, int L>
static void products(const BackwardPass<F>& pass, const typename F::Stored* const* rows,
                     typename F::Sum* const* out, int count, int64_t lane, int64_t next_lane) {
  using Sum = typename F::Sum;
  constexpr int kWidth = JLSTM_ISA::kWidth<Sum>;
  const int64_t size = 4 * pass.call.sizes.units, length = words<F>(size);
  for (int64_t from = 0; from < size; from += kBlock<F>) {
    const int64_t block = smaller(kBlock<F>, size - from);
    const Sum* w = pass.w_h + (lane * length + words<F>(from) * L) * kWidth;
    const Sum* beyond = w + words<F>(block) * L * kWidth;  // the next block, or else the next panel
    if (from + block == size)
      beyond = next_lane < 0 ? nullptr : pass.w_h + next_lane * kWidth * length;
    in_tiles<F>(count, beyond, words<F>(block),
                [&]<int R>(int first, auto meanwhile) __attribute__((always_inline)) {
                  Sums<F, R, L> sums{};
                  if (from) sums = get<F, R, L>(pass, out + first, lane);
                  accumulate<F, R, L>(sums, rows + first, from, block, w, meanwhile);
                  put<F, R, L>(pass, sums, out + first, lane);
                });
  }
}

// d_h of the part's units = d_z W_h^T for the rows for which step t is valid.
template <typename F>
static void carry_back(const BackwardPass<F>& pass, const Part& part, int64_t t) {
  using Sum = typename F::Sum;
  constexpr int kWidth = JLSTM_ISA::kWidth<Sum>;
  const typename F::Stored* rows[kTogether];
  Sum* out[kTogether];
  for (int64_t begin = part.row; begin < part.row_end; begin += kTogether) {
    const Sizes& s = pass.call.sizes;
    int count = 0;
    const int64_t end = smaller(begin + kTogether, part.row_end);
    for (int64_t row = begin; row < end; ++row) {
      if (!pass.valid(t, row)) continue;
      rows[count] = pass.call.d_z + ((pass.group * s.steps + t) * s.batch + row) * 4 * s.units;
      out[count++] = pass.d_h + row * s.units;
    }
    // Panels of kLanes vectors; the last may be narrower. Every second step reads the panels in
    // reverse order, because those read last are still in the cache.
    const int64_t panels = (part.end - part.first + kLanes - 1) / kLanes;
    auto lane_of = [&](int64_t n) { return part.first + (t % 2 ? panels - 1 - n : n) * kLanes; };
    for (int64_t n = 0; n < panels; ++n) {
      const int64_t lane = lane_of(n);
      const int lanes = int(smaller(kLanes, part.end - lane));
      if (count == 1 && n + 1 < panels && lanes == kLanes && part.end - lane_of(n + 1) >= kLanes) {
        const int64_t next = lane_of(++n), size = 4 * s.units;
        const int64_t vector = kWidth * words<F>(size);
        Sums<F, 1, kLanes> one{}, two{};
        accumulate_two<F, kLanes>(one, two, rows[0], size, pass.w_h + lane * vector,
                                  pass.w_h + next * vector);
        put<F, 1, kLanes>(pass, one, out, lane);
        put<F, 1, kLanes>(pass, two, out, next);
        continue;
      }
      const int64_t next = n + 1 < panels ? lane_of(n + 1) : -1;
      with_lanes(lanes, [&]<int L>() { products<F, L>(pass, rows, out, count, lane, next); });
    }
  }
}

// At a reset, moves the cotangents of the carry to those of the initial carry.
template <typename F>
static void cut(const BackwardPass<F>& pass, const Part& part, int64_t row) {
  constexpr int kWidth = JLSTM_ISA::kWidth<typename F::Sum>;
  const Sizes& s = pass.call.sizes;
  for (int64_t unit = part.first * kWidth; unit < smaller(part.end * kWidth, s.units); ++unit) {
    const int64_t at = (pass.group * s.batch + row) * s.units + unit, own = row * s.units + unit;
    pass.call.d_initial_c[at] += pass.d_c[own];
    pass.call.d_initial_h[at] += pass.d_h[own];
    pass.d_c[own] = pass.d_h[own] = 0;
  }
}

template <typename F>
static void backward_step(const BackwardPass<F>& pass, const Part& part, int64_t k) {
  using V = Vector<typename F::Sum>;
  using Sum = typename F::Sum;
  constexpr int kWidth = JLSTM_ISA::kWidth<Sum>;
  const Sizes& s = pass.call.sizes;
  const bool reverse = pass.call.schedule.reverse[pass.group];
  if (k > 0) {
    const int64_t later = pass.time(k - 1);
    carry_back(pass, part, later);
    if (!reverse)
      for (int64_t row = part.row; row < part.row_end; ++row)
        if (pass.reset(later, row)) cut(pass, part, row);
  }
  if (k == s.steps) return;
  const int64_t t = pass.time(k);
  for (int64_t row = part.row; row < part.row_end; ++row) {
    if (reverse && pass.reset(t, row)) cut(pass, part, row);
    const int64_t at = (pass.group * s.steps + t) * s.batch + row;
    for (int64_t lane = part.first; lane < part.end; ++lane) {
      const int64_t unit = lane * kWidth;
      const int live = int(smaller(kWidth, s.units - unit));
      auto* d_z = pass.call.d_z + at * 4 * s.units + unit;
      if (!pass.valid(t, row)) {
        for (int gate = 0; gate < 4; ++gate) store(d_z + gate * s.units, V{}, live);
        continue;
      }
      const Sum* gates = pass.call.gates + at * 4 * s.units + unit;
      const V i = load(gates, live), f = load(gates + s.units, live);
      const V g = load(gates + 2 * s.units, live), o = load(gates + 3 * s.units, live);
      const V before = load(pass.call.c_before + at * s.units + unit, live);
      Sum* kept_c = pass.d_c + row * s.units + unit;
      const V h_bar =
          load(pass.d_h + row * s.units + unit, live) + load(pass.d_h_of(t, row) + unit, live);
      const V squashed = tanh(fma(f, before, V(i * g)));
      const Sum one = 1;
      const V c_bar = fma(V(h_bar * o), V(one - squashed * squashed), load(kept_c, live));
      store(d_z, c_bar * g * i * (one - i), live);
      store(d_z + s.units, c_bar * before * f * (one - f), live);
      store(d_z + 2 * s.units, c_bar * i * (one - g * g), live);
      store(d_z + 3 * s.units, h_bar * squashed * o * (one - o), live);
      store(kept_c, c_bar * f, live);
    }
  }
}

}  // namespace JLSTM_ISA
