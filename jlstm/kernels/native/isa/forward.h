// The forward pass of the recurrence; jlstm/cell.py has the equations.
#pragma once
#include "cell.h"
#include "inputs.h"

namespace JLSTM_ISA {

template <typename F>
static void pack_forward(const ForwardPass<F>& pass, int64_t first, int64_t end) {
  using Sum = typename F::Sum;
  constexpr int kPanel = JLSTM_ISA::kPanel<Sum>;
  const Sizes& s = pass.call.sizes;
  if (pass.w_x)
    pack_gates<F>(input_weights(pass), s.inputs, s.units, first, end,
                  pass.w_x + first * words<F>(s.inputs) * kPanel);
  if (pass.w_h && !pass.packs_beside)
    pack_gates<F>(recurrent_weights(pass), s.units, s.units, first, end,
                  pass.w_h + first * words<F>(s.units) * kPanel);
  Sum* b = pass.b + first * kPanel;
  if (!pass.call.b) {
    clear(b, (end - first) * kPanel);
    return;
  }
  using NotRounded = SumsOf<F>;
  // Steps with unpacked weights have no narrow last panel, so their bias has none either.
  const auto pack = pass.w_h ? pack_gates<NotRounded> : pack_vectors<NotRounded>;
  pack(pass.call.b + pass.group * 4 * s.units, 1, s.units, first, end, b);
}

// The rows of a batch for which a step is valid, at most kTogether.
template <typename F>
struct Rows {
  int count = 0;
  const typename F::Stored* before[kTogether];  // their hidden states
  int64_t row[kTogether], z[kTogether];  // their positions in the batch and in the input products
  int32_t source[kTogether];
};

// A step of one panel, whose input products begin at z; `next` is the panel to prefetch.
template <typename F, int L>
static void step_panel(const ForwardPass<F>& pass, const Rows<F>& rows, int64_t t,
                       const typename F::Sum* z, int64_t panel, const typename F::Sum* next) {
  using Sum = typename F::Sum;
  constexpr int kPanel = JLSTM_ISA::kPanel<Sum>, kWidth = JLSTM_ISA::kWidth<Sum>;
  const int64_t units = pass.call.sizes.units, length = words<F>(units);
  in_tiles<F>(rows.count, next, length,
              [&]<int R>(int first, auto meanwhile) __attribute__((always_inline)) {
                Sums<F, R, L> sums;
                for (int r = 0; r < R; ++r)
                  for (int l = 0; l < L; ++l)
                    sums.of[r][l] = load(z + rows.z[first + r] * kPanel + l * kWidth);
                accumulate<F, R, L>(sums, rows.before + first, 0, units,
                                    pass.w_h + panel * length * kPanel, meanwhile);
                for (int r = 0; r < R; ++r) {
                  const int n = first + r;
                  Vector<Sum> gates[4];
                  spread_gates<L>(sums.of[r], gates);
                  finish_step(pass, gates, t, rows.row[n], rows.source[n], panel);
                }
              });
}

// Two neighbouring panels for one row.
template <typename F>
static void step_two_panels(const ForwardPass<F>& pass, const Rows<F>& rows, int64_t t,
                            const typename F::Sum* z, const typename F::Sum* second_z,
                            int64_t panel, int64_t second) {
  using Sum = typename F::Sum;
  constexpr int kPanel = JLSTM_ISA::kPanel<Sum>, kWidth = JLSTM_ISA::kWidth<Sum>;
  const int64_t units = pass.call.sizes.units, row = rows.row[0], size = words<F>(units) * kPanel;
  Sums<F, 1, kLanes> one, two;
  for (int l = 0; l < kLanes; ++l) {
    one.of[0][l] = load(z + rows.z[0] * kPanel + l * kWidth);
    two.of[0][l] = load(second_z + rows.z[0] * kPanel + l * kWidth);
  }
  accumulate_two<F, kLanes>(one, two, rows.before[0], units, pass.w_h + panel * size,
                            pass.w_h + second * size);
  finish_step(pass, one.of[0], t, row, rows.source[0], panel);
  finish_step(pass, two.of[0], t, row, rows.source[0], second);
}

// Step k of a part, whose input products begin at z with `chunk_rows` rows a panel.
template <typename F>
static void forward_step(const ForwardPass<F>& pass, const Part& part, int64_t k,
                         const typename F::Sum* z, int64_t chunk_rows) {
  using Sum = typename F::Sum;
  constexpr int kPanel = JLSTM_ISA::kPanel<Sum>;
  const Sizes& s = pass.call.sizes;
  const int64_t t = pass.time(k);
  for (int64_t begin = part.row; begin < part.row_end; begin += kTogether) {
    Rows<F> rows;
    const int64_t end = smaller(begin + kTogether, part.row_end);
    for (int64_t row = begin; row < end; ++row) {
      if (!pass.valid(t, row)) {
        blank(pass, part, t, row);
        continue;
      }
      const int n = rows.count++;
      rows.row[n] = row;
      rows.z[n] = row - part.row;
      rows.source[n] = pass.source_of(k, row);
      rows.before[n] = pass.h_from(rows.source[n], row);
    }
    auto z_of = [&](int64_t panel) { return z + (panel - part.first) * chunk_rows * kPanel; };
    // Every second step reads the panels in reverse order: those read last are still in the cache.
    const int64_t sign = k % 2 ? -1 : 1, behind = k % 2 ? part.first - 1 : part.end;
    for (int64_t panel = k % 2 ? part.end - 1 : part.first; panel != behind; panel += sign) {
      const int64_t second = panel + sign;
      const int lanes = lanes_of<Sum>(s.units, panel);
      if (rows.count == 1 && lanes == kLanes && second != behind &&
          lanes_of<Sum>(s.units, second) == kLanes) {
        step_two_panels(pass, rows, t, z_of(panel), z_of(second), panel, second);
        panel = second;
        continue;
      }
      const Sum* next = second == behind ? nullptr : pass.w_h + second * words<F>(s.units) * kPanel;
      with_lanes(lanes,
                 [&]<int L>() { step_panel<F, L>(pass, rows, t, z_of(panel), panel, next); });
    }
  }
}

}  // namespace JLSTM_ISA
