// The elementwise part of a step, after its products: the equations of jlstm/cell.py.
#pragma once
#include "../recurrence.h"
#include "vector.h"

namespace JLSTM_ISA {

using jlstm::ForwardPass;
using jlstm::Part;
using jlstm::Sizes;
using jlstm::smaller;

// Completes the step of one row and one panel with the pre-activations z.
__attribute__((always_inline)) static inline void finish_step(const ForwardPass& pass,
                                                              const Vector (&z)[4], int64_t t,
                                                              int64_t row, int32_t source,
                                                              int64_t panel) {
  const Sizes& s = pass.call.sizes;
  const int64_t unit = panel * kWidth;
  const int live = int(smaller(kWidth, s.units - unit));
  Vector before = load(pass.c_from(source, row) + unit, live);
  Vector i = sigmoid(z[0]), f = sigmoid(z[1]), g = tanh(z[2]), o = sigmoid(z[3]);
  Vector c = fma(f, before, i * g);
  Vector h = o * tanh(c);
  const int64_t at = (pass.group * s.steps + t) * s.batch + row;
  store(pass.states + row * s.units + unit, c, live);
  if (pass.last_h) {
    store(pass.last_h + row * s.units + unit, h, live);
    h = rounded(h);
  }
  store(pass.h_of(t, row) + unit, h, live);
  if (pass.call.gates) {
    float* gates = pass.call.gates + at * 4 * s.units + unit;
    store(gates, i, live);
    store(gates + s.units, f, live);
    store(gates + 2 * s.units, g, live);
    store(gates + 3 * s.units, o, live);
    store(pass.call.c_before + at * s.units + unit, before, live);
    store(pass.call.h_before + at * s.units + unit, load(pass.h_from(source, row) + unit, live),
          live);
  }
}

static inline void clear(float* p, int64_t count) {
  for (int64_t n = 0; n < count; ++n) p[n] = 0.0f;
}

// Writes zeros as the outputs of a skipped step.
static void blank(const ForwardPass& pass, const Part& part, int64_t t, int64_t row) {
  const Sizes& s = pass.call.sizes;
  const int64_t at = (pass.group * s.steps + t) * s.batch + row, unit = part.first * kWidth;
  const int64_t count = smaller(part.end * kWidth, s.units) - unit;
  clear(pass.h_of(t, row) + unit, count);
  if (!pass.call.gates) return;
  for (int gate = 0; gate < 4; ++gate)
    clear(pass.call.gates + (at * 4 + gate) * s.units + unit, count);
  clear(pass.call.c_before + at * s.units + unit, count);
  clear(pass.call.h_before + at * s.units + unit, count);
}

}  // namespace JLSTM_ISA
