// The elementwise part of a step, after its products: the equations of jlstm/cell.py.
#pragma once
#include "../passes.h"
#include "../plan.h"
#include "activations.h"
#include "numbers.h"

namespace JLSTM_ISA {

using jlstm::ForwardPass;
using jlstm::Part;
using jlstm::Sizes;
using jlstm::smaller;

// Completes the step of one row and one panel with the pre-activations z.
template <typename F>
__attribute__((always_inline)) static inline void finish_step(const ForwardPass<F>& pass,
                                                              const Vector<typename F::Sum> (&z)[4],
                                                              int64_t t, int64_t row,
                                                              int32_t source, int64_t panel) {
  using V = Vector<typename F::Sum>;
  constexpr int kUnits = kWidth<typename F::Sum>;
  const Sizes& s = pass.call.sizes;
  const int64_t unit = panel * kUnits;
  const int live = int(smaller(kUnits, s.units - unit));
  const V before = load(pass.c_from(source, row) + unit, live);
  const V i = sigmoid(z[0]), f = sigmoid(z[1]), g = tanh(z[2]), o = sigmoid(z[3]);
  const V c = fma(f, before, V(i * g));
  const V h = o * tanh(c);
  const int64_t at = (pass.group * s.steps + t) * s.batch + row;
  store(pass.states + row * s.units + unit, c, live);
  // The carry is not rounded.
  if constexpr (jlstm::kRounds<F>) store(pass.last_h + row * s.units + unit, h, live);
  store(pass.h_of(t, row) + unit, h, live);
  if (pass.call.gates) {
    auto* gates = pass.call.gates + at * 4 * s.units + unit;
    store(gates, i, live);
    store(gates + s.units, f, live);
    store(gates + 2 * s.units, g, live);
    store(gates + 3 * s.units, o, live);
    store(pass.call.c_before + at * s.units + unit, before, live);
    store(pass.call.h_before + at * s.units + unit, load(pass.h_from(source, row) + unit, live),
          live);
  }
}

template <typename S>
static void clear(S* p, int64_t count) {
  for (int64_t n = 0; n < count; ++n) p[n] = S{};
}

// Writes zeros as the outputs of a skipped step.
template <typename F>
static void blank(const ForwardPass<F>& pass, const Part& part, int64_t t, int64_t row) {
  constexpr int kUnits = kWidth<typename F::Sum>;
  const Sizes& s = pass.call.sizes;
  const int64_t at = (pass.group * s.steps + t) * s.batch + row, unit = part.first * kUnits;
  const int64_t count = smaller(part.end * kUnits, s.units) - unit;
  clear(pass.h_of(t, row) + unit, count);
  if (!pass.call.gates) return;
  for (int gate = 0; gate < 4; ++gate)
    clear(pass.call.gates + (at * 4 + gate) * s.units + unit, count);
  clear(pass.call.c_before + at * s.units + unit, count);
  clear(pass.call.h_before + at * s.units + unit, count);
}

}  // namespace JLSTM_ISA
