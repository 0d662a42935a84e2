// The recurrence forward in time; the equations are those of jlstm/cell.py.
#pragma once
#include "inputs.h"

namespace JLSTM_ISA {

static void pack_forward(const ForwardPass& pass, int64_t first, int64_t end) {
  const Sizes& s = pass.call.sizes;
  if (pass.w_x)
    pack_gates(input_weights(pass), s.inputs, s.units, first, end,
               pass.w_x + first * s.inputs * kPanel);
  if (pass.w_h && !pass.packs_beside)
    pack_gates(recurrent_weights(pass), s.units, s.units, first, end,
               pass.w_h + first * s.units * kPanel);
  float* b = pass.b + first * kPanel;
  if (!pass.call.b) {
    for (int64_t n = 0; n < (end - first) * kLanes; ++n) store(b + n * kWidth, Vector{});
    return;
  }
  const auto pack = pass.w_h ? pack_gates : pack_vectors;  // weights in place have no narrow panel
  pack(pass.call.b + pass.group * 4 * s.units, 1, s.units, first, end, b);
}

// What a step does with the pre-activations of one row and one panel.
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

// The rows of a batch that take a step, at most kTogether.
struct Rows {
  int count = 0;
  const float* before[kTogether];  // their hidden states
  int64_t row[kTogether];
  int32_t source[kTogether];
};

// A step of one panel, whose input products of row 0 are at z; `next` is the panel to fetch.
template <int L>
static void step_panel(const ForwardPass& pass, const Rows& rows, int64_t t, const float* z,
                       int64_t panel, const float* next) {
  const int64_t units = pass.call.sizes.units;
  in_tiles(rows.count, next, units,
           [&]<int R>(int first, auto meanwhile) __attribute__((always_inline)) {
             Sums<R, L> sums;
             for (int r = 0; r < R; ++r)
               for (int l = 0; l < L; ++l)
                 sums.of[r][l] = load(z + rows.row[first + r] * kPanel + l * kWidth);
             accumulate<R, L>(sums, rows.before + first, 0, units,
                              pass.w_h + panel * units * kPanel, meanwhile);
             for (int r = 0; r < R; ++r) {
               const int n = first + r;
               Vector gates[4];
               spread_gates<L>(sums.of[r], gates);
               finish_step(pass, gates, t, rows.row[n], rows.source[n], panel);
             }
           });
}

// Two neighbouring panels for one row.
static void step_two_panels(const ForwardPass& pass, const Rows& rows, int64_t t, const float* z,
                            const float* second_z, int64_t panel, int64_t second) {
  const int64_t units = pass.call.sizes.units, row = rows.row[0];
  Sums<1, kLanes> one, two;
  for (int l = 0; l < kLanes; ++l) {
    one.of[0][l] = load(z + row * kPanel + l * kWidth);
    two.of[0][l] = load(second_z + row * kPanel + l * kWidth);
  }
  accumulate_two<kLanes>(one, two, rows.before[0], units, pass.w_h + panel * units * kPanel,
                         pass.w_h + second * units * kPanel);
  finish_step(pass, one.of[0], t, row, rows.source[0], panel);
  finish_step(pass, two.of[0], t, row, rows.source[0], second);
}

// Step k of a part, whose input products begin at z with `chunk_rows` rows a panel.
static void forward_step(const ForwardPass& pass, const Part& part, int64_t k, const float* z,
                         int64_t chunk_rows) {
  const Sizes& s = pass.call.sizes;
  const int64_t t = pass.time(k);
  for (int64_t begin = part.row; begin < part.row_end; begin += kTogether) {
    Rows rows;
    const int64_t end = smaller(begin + kTogether, part.row_end);
    for (int64_t row = begin; row < end; ++row) {
      if (!pass.valid(t, row)) {
        blank(pass, part, t, row);
        continue;
      }
      const int n = rows.count++;
      rows.row[n] = row;
      rows.source[n] = pass.source_of(k, row);
      rows.before[n] = pass.h_from(rows.source[n], row);
    }
    auto z_of = [&](int64_t panel) {
      return z + ((panel - part.first) * chunk_rows - part.row) * kPanel;
    };
    // Every other step goes through the weights backwards: what the last one read is still near.
    const int64_t sign = k % 2 ? -1 : 1, behind = k % 2 ? part.first - 1 : part.end;
    for (int64_t panel = k % 2 ? part.end - 1 : part.first; panel != behind; panel += sign) {
      const int64_t second = panel + sign;
      const int lanes = lanes_of(s.units, panel);
      if (rows.count == 1 && lanes == kLanes && second != behind &&
          lanes_of(s.units, second) == kLanes) {
        step_two_panels(pass, rows, t, z_of(panel), z_of(second), panel, second);
        panel = second;
        continue;
      }
      const float* next = second == behind ? nullptr : pass.w_h + second * s.units * kPanel;
      switch (lanes) {
        case 1:
          step_panel<1>(pass, rows, t, z_of(panel), panel, next);
          break;
        case 2:
          step_panel<2>(pass, rows, t, z_of(panel), panel, next);
          break;
        case 3:
          step_panel<3>(pass, rows, t, z_of(panel), panel, next);
          break;
        case 4:
          step_panel<4>(pass, rows, t, z_of(panel), panel, next);
          break;
      }
    }
  }
}

}  // namespace JLSTM_ISA
