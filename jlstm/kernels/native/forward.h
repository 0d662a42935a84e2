// The recurrence forward in time; the equations are those of jlstm/cell.py.
#pragma once
#include "product.h"
#include "recurrence.h"

namespace JLSTM_ISA {

using jlstm::ForwardPass;
using jlstm::kOwnPanels;
using jlstm::Part;
using jlstm::Sizes;

static void pack_inputs(const ForwardPass& pass, int64_t first, int64_t end, float* packed) {
  const Sizes& s = pass.call.sizes;
  pack_gates(pass.call.w_x + pass.group * s.inputs * 4 * s.units, s.inputs, s.units, first, end,
             packed);
}

static void pack_forward(const ForwardPass& pass, int64_t first, int64_t end) {
  const Sizes& s = pass.call.sizes;
  if (pass.w_x) pack_inputs(pass, first, end, pass.w_x + first * s.inputs * kPanel);
  if (pass.w_h)
    pack_gates(pass.call.w_h + pass.group * s.units * 4 * s.units, s.units, s.units, first, end,
               pass.w_h + first * s.units * kPanel);
  float* b = pass.b + first * kPanel;
  if (pass.call.b)
    return pack_gates(pass.call.b + pass.group * 4 * s.units, 1, s.units, first, end, b);
  for (int64_t n = 0; n < (end - first) * kLanes; ++n) store(b + n * kWidth, Vector{});
}

static void input_products(const ForwardPass& pass, const Part& part, int64_t from, int64_t to,
                           float* z, float* own) {
  const Sizes& s = pass.call.sizes;
  const int64_t rows = part.row_end - part.row, all = (to - from) * rows;
  const float* xs =
      pass.call.xs + (pass.call.shared_inputs ? 0 : pass.group * s.steps * s.batch * s.inputs);
  for (int64_t panel = part.first; panel < part.end; ++panel) {
    const int64_t at = (panel - part.first) % kOwnPanels;
    if (!pass.w_x && at == 0) pack_inputs(pass, panel, smaller(panel + kOwnPanels, part.end), own);
    const float* w =
        (pass.w_x ? pass.w_x + panel * s.inputs * kPanel : own + at * s.inputs * kPanel);
    const float* b = pass.b + panel * kPanel;
    float* of_panel = z + (panel - part.first) * all * kPanel;
    const float* inputs[kTogether];
    float* out[kTogether];
    for (int64_t n = 0; n < all;) {
      int count = 0;
      for (; n < all && count < kTogether; ++n) {
        const int64_t t = pass.time(from + n / rows), row = part.row + n % rows;
        if (!pass.valid(t, row)) continue;
        inputs[count] = xs + (t * s.batch + row) * s.inputs;
        out[count++] = of_panel + n * kPanel;
      }
      const float* next = pass.w_x && panel + 1 < part.end ? w + s.inputs * kPanel : nullptr;
      in_tiles(count, next, s.inputs,
               [&]<int R, int F>(int first, const float* next) __attribute__((always_inline)) {
                 Sums<R, kLanes> sums;
                 for (int r = 0; r < R; ++r)
                   for (int l = 0; l < kLanes; ++l) sums.of[r][l] = load(b + l * kWidth);
                 accumulate<R, kLanes, F>(sums, inputs + first, 0, s.inputs, w, next);
                 for (int r = 0; r < R; ++r)
                   for (int l = 0; l < kLanes; ++l)
                     store(out[first + r] + l * kWidth, sums.of[r][l]);
               });
    }
  }
}

// What a step does with the pre-activations of one row and one panel.
__attribute__((always_inline)) static inline void finish_step(const ForwardPass& pass,
                                                              const Vector* z, int64_t t,
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

// Outputs of a step that is not taken.
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

// Step k of a part, whose input products begin at z with `chunk_rows` rows a panel.
static void forward_step(const ForwardPass& pass, const Part& part, int64_t k, const float* z,
                         int64_t chunk_rows) {
  const Sizes& s = pass.call.sizes;
  const int64_t t = pass.time(k);
  const float* before[kTogether];
  int64_t row_of[kTogether];
  int32_t from[kTogether];
  for (int64_t begin = part.row; begin < part.row_end; begin += kTogether) {
    int count = 0;
    const int64_t end = smaller(begin + kTogether, part.row_end);
    for (int64_t row = begin; row < end; ++row) {
      if (!pass.valid(t, row)) {
        blank(pass, part, t, row);
        continue;
      }
      from[count] = pass.source_of(k, row);
      before[count] = pass.h_from(from[count], row);
      row_of[count++] = row;
    }
    auto z_at = [&](int64_t panel, int64_t row) {
      return z + ((panel - part.first) * chunk_rows + row - part.row) * kPanel;
    };
    // Every other step goes through the weights backwards: what the last one read is still near.
    const int64_t panels = part.end - part.first, sign = k % 2 ? -1 : 1;
    int64_t panel = k % 2 ? part.end - 1 : part.first, done = 0;
    if (count == 1) {
      for (; done + 1 < panels; done += 2, panel += 2 * sign) {
        Sums<1, kLanes> one, two;
        for (int l = 0; l < kLanes; ++l) {
          one.of[0][l] = load(z_at(panel, row_of[0]) + l * kWidth);
          two.of[0][l] = load(z_at(panel + sign, row_of[0]) + l * kWidth);
        }
        const float* w = pass.w_h + panel * s.units * kPanel;
        accumulate_two<kLanes>(one, two, before[0], s.units, w, w + sign * s.units * kPanel);
        finish_step(pass, one.of[0], t, row_of[0], from[0], panel);
        finish_step(pass, two.of[0], t, row_of[0], from[0], panel + sign);
      }
    }
    for (; done < panels; ++done, panel += sign) {
      const float* w = pass.w_h + panel * s.units * kPanel;
      const float* next = done + 1 < panels ? w + sign * s.units * kPanel : nullptr;
      in_tiles(count, next, s.units,
               [&]<int R, int F>(int first, const float* next) __attribute__((always_inline)) {
                 Sums<R, kLanes> sums;
                 for (int r = 0; r < R; ++r)
                   for (int l = 0; l < kLanes; ++l)
                     sums.of[r][l] = load(z_at(panel, row_of[first + r]) + l * kWidth);
                 accumulate<R, kLanes, F>(sums, before + first, 0, s.units, w, next);
                 for (int r = 0; r < R; ++r)
                   finish_step(pass, sums.of[r], t, row_of[first + r], from[first + r], panel);
               });
    }
  }
}

}  // namespace JLSTM_ISA
