// Steps with unpacked weights, for calls too short to pack them.
#pragma once
#include "cell.h"
#include "inputs.h"

namespace JLSTM_ISA {

// z [panels][kPanel] += K elements of a row times K rows of unpacked weights [.., 4 * units]. `w`
// points at the first wanted unit. The last panel has `live` units.
template <int K, typename S, typename Sum = Summed<S>>
__attribute__((always_inline)) static inline void add_rows(Sum* z, int64_t panels, const S* row,
                                                           const S* w, int64_t units, int live) {
  constexpr int kWidth = JLSTM_ISA::kWidth<Sum>;
  for (int l = 0; l < kLanes; ++l)
    for (int64_t panel = 0; panel < panels; ++panel) {
      Sum* out = z + panel * kPanel<Sum> + l * kWidth;
      Vector<Sum> sum = load(out);
#pragma GCC unroll 8
      for (int k = 0; k < K; ++k) {
        const S* from = w + (k * kLanes + l) * units + panel * kWidth;
        sum = fma(splat(number(row[k])), load(from, panel + 1 < panels ? kWidth : live), sum);
      }
      store(out, sum);
    }
}

// z [count][panels][kPanel] += `count` rows times unpacked w [size, 4 * units]. One pass over w, a
// few rows at a time, is the fastest way to read it from memory.
template <typename S, typename Sum = Summed<S>>
static void accumulate_in_place(Sum* z, int64_t panels, const S* const* rows, int count,
                                int64_t size, const S* w, int64_t units, int live) {
  constexpr int kAtOnce = 4;
  for (int64_t k = 0; k < size; k += kAtOnce)
    for (int n = 0; n < count; ++n) {
      Sum* out = z + n * panels * kPanel<Sum>;
      const S* from = w + k * kLanes * units;
      if (k + kAtOnce <= size) {
        add_rows<kAtOnce>(out, panels, rows[n] + k, from, units, live);
        continue;
      }
      for (int64_t last = 0; k + last < size; ++last)
        add_rows<1>(out, panels, rows[n] + k + last, from + last * kLanes * units, units, live);
    }
}

// Step k of a part with unpacked weights; z has room for its rows.
template <typename F>
static void step_in_place(const ForwardPass<F>& pass, const Part& part, int64_t k,
                          typename F::Sum* z) {
  using Sum = typename F::Sum;
  constexpr int kPanel = JLSTM_ISA::kPanel<Sum>, kWidth = JLSTM_ISA::kWidth<Sum>;
  const Sizes& s = pass.call.sizes;
  const int64_t t = pass.time(k), panels = part.end - part.first, unit = part.first * kWidth;
  const int live = int(smaller(kWidth, s.units - (part.end - 1) * kWidth));
  const typename F::Stored *inputs[jlstm::kInPlace], *before[jlstm::kInPlace];
  int64_t row_of[jlstm::kInPlace];
  int count = 0;
  for (int64_t row = part.row; row < part.row_end; ++row) {
    if (!pass.valid(t, row)) {
      blank(pass, part, t, row);
      continue;
    }
    for (int64_t n = 0; n < panels * kLanes; ++n)
      store(z + (count * panels * kLanes + n) * kWidth,
            load(pass.b + part.first * kPanel + n * kWidth));
    inputs[count] = inputs_at(pass, t, row);
    before[count] = pass.h_from(pass.source_of(k, row), row);
    row_of[count++] = row;
  }
  accumulate_in_place(z, panels, inputs, count, s.inputs, input_weights(pass) + unit, s.units,
                      live);
  accumulate_in_place(z, panels, before, count, s.units, recurrent_weights(pass) + unit, s.units,
                      live);
  for (int n = 0; n < count; ++n)
    for (int64_t panel = 0; panel < panels; ++panel) {
      Vector<Sum> sums[4];
      for (int l = 0; l < kLanes; ++l)
        sums[l] = load(z + (n * panels + panel) * kPanel + l * kWidth);
      finish_step(pass, sums, t, row_of[n], pass.source_of(k, row_of[n]), part.first + panel);
    }
}

}  // namespace JLSTM_ISA
