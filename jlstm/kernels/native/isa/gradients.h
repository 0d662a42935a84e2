// Gradients of weights and inputs from d_z, over all steps at once.
#pragma once
#include "../instruction_set.h"
#include "product.h"

namespace JLSTM_ISA {

using jlstm::Gradients;
using jlstm::kDeep;
using jlstm::kTall;
using jlstm::Sizes;

// Live numbers in each lane of a panel that begins at `column` of `columns`; lanes beyond have
// none.
template <typename Sum>
struct Live {
  int of[kLanes];

  Live(int64_t columns, int64_t column) {
    for (int l = 0; l < kLanes; ++l) {
      const int64_t left_over = columns - column - l * kWidth<Sum>;
      of[l] = int(left_over < 0 ? 0 : smaller(kWidth<Sum>, left_over));
    }
  }
};

// Packs `deep` rows of d_z, from `row` on: panels [first, end) of its columns, each kPanel wide.
template <typename F>
static void pack_columns(const typename F::Stored* d_z, int64_t columns, int64_t row, int64_t deep,
                         int64_t first, int64_t end, typename F::Sum* packed) {
  using Sum = typename F::Sum;
  constexpr int kPanel = JLSTM_ISA::kPanel<Sum>, kWidth = JLSTM_ISA::kWidth<Sum>;
  for (int64_t panel = first; panel < end; ++panel) {
    const Live<Sum> live(columns, panel * kPanel);
    for (int64_t k = 0; k < words<F>(deep); ++k)
      for (int l = 0; l < kLanes; ++l) {
        const auto* from = d_z + (row + k * kTerms<F>)*columns + panel * kPanel + l * kWidth;
        store(packed + ((panel - first) * words<F>(kDeep) + k) * kPanel + l * kWidth,
              live.of[l] ? words_of_rows<F>(from, columns, deep - k * kTerms<F>, live.of[l])
                         : Vector<Sum>{});
      }
  }
}

// rows [kTall][kDeep] = the transpose of columns [first, first + tall) of a [.., width].
template <typename S>
static void pack_rows(const S* a, int64_t width, int64_t row, int64_t deep, int64_t first,
                      int64_t tall, S* rows) {
  constexpr int kWidth = JLSTM_ISA::kWidth<Summed<S>>;
  for (int64_t m = 0; m < tall; m += kWidth)
    for (int64_t k = 0; k < deep; k += kWidth)
      transpose_block(a + (row + k) * width + first + m, width, int(smaller(kWidth, deep - k)),
                      int(smaller(kWidth, tall - m)), rows + m * kDeep + k, kDeep);
}

// d_w [width, 4H] += a^T d_z over `deep` rows from `row` on, for panels [first, end) of its
// columns. If `row` is 0, d_w is overwritten.
template <typename F>
static void weight_product(const typename F::Stored* a, int64_t width, int64_t row, int64_t deep,
                           const typename F::Sum* packed, int64_t columns, int64_t first,
                           int64_t end, typename F::Sum* d_w, typename F::Stored* rows) {
  using Sum = typename F::Sum;
  constexpr int kPanel = JLSTM_ISA::kPanel<Sum>, kWidth = JLSTM_ISA::kWidth<Sum>;
  const int64_t panel_size = words<F>(kDeep) * kPanel;
  for (int64_t from = 0; from < width; from += kTall) {
    const int tall = int(smaller(kTall, width - from));
    pack_rows(a, width, row, deep, from, tall, rows);
    const typename F::Stored* left[kTall];
    for (int m = 0; m < tall; ++m) left[m] = rows + m * kDeep;
    for (int64_t panel = first; panel < end; ++panel) {
      const Sum* w = packed + (panel - first) * panel_size;
      const Sum* next = panel + 1 < end ? w + panel_size : nullptr;
      const Live<Sum> live(columns, panel * kPanel);
      in_tiles<F>(tall, next, words<F>(deep),
                  [&]<int R>(int m, auto meanwhile) __attribute__((always_inline)) {
                    Sums<F, R, kLanes> sums{};
                    Sum* out = d_w + (from + m) * columns + panel * kPanel;
                    if (row)
                      for (int r = 0; r < R; ++r)
                        for (int l = 0; l < kLanes; ++l)
                          sums.of[r][l] = load(out + r * columns + l * kWidth, live.of[l]);
                    accumulate<F, R, kLanes>(sums, left + m, 0, deep, w, meanwhile);
                    for (int r = 0; r < R; ++r)
                      for (int l = 0; l < kLanes; ++l)
                        store(out + r * columns + l * kWidth, sums.of[r][l], live.of[l]);
                  });
    }
  }
}

// d_b of panels [first, end), which are packed; added to the present values if `more`.
template <typename F>
static void bias_gradient(const typename F::Sum* packed, int64_t columns, int64_t deep,
                          int64_t first, int64_t end, bool more, typename F::Sum* d_b) {
  using Sum = typename F::Sum;
  constexpr int kPanel = JLSTM_ISA::kPanel<Sum>, kWidth = JLSTM_ISA::kWidth<Sum>;
  for (int64_t panel = first; panel < end; ++panel) {
    const Live<Sum> live(columns, panel * kPanel);
    for (int l = 0; l < kLanes && live.of[l]; ++l) {
      Sum* out = d_b + panel * kPanel + l * kWidth;
      Vector<Sum> sum = more ? load(out, live.of[l]) : Vector<Sum>{};
      const Sum* from = packed + (panel - first) * words<F>(kDeep) * kPanel + l * kWidth;
      for (int64_t k = 0; k < words<F>(deep); ++k) sum = add_numbers<F>(from + k * kPanel, sum);
      store(out, sum, live.of[l]);
    }
  }
}

template <typename F>
static void weight_gradients(const Gradients<F>& call, int64_t group, int64_t first, int64_t end,
                             typename F::Sum* packed, typename F::Stored* rows) {
  const Sizes& s = call.sizes;
  const int64_t all = s.steps * s.batch, columns = 4 * s.units;
  const auto* d_z = call.d_z + group * all * columns;
  const auto* xs = call.xs + (call.shared_inputs ? 0 : group * all * s.inputs);
  for (int64_t row = 0; row < all; row += kDeep) {
    const int64_t deep = smaller(kDeep, all - row);
    pack_columns<F>(d_z, columns, row, deep, first, end, packed);
    if (call.d_w_x)
      weight_product<F>(xs, s.inputs, row, deep, packed, columns, first, end,
                        call.d_w_x + group * s.inputs * columns, rows);
    if (call.d_w_h)
      weight_product<F>(call.h_before + group * all * s.units, s.units, row, deep, packed, columns,
                        first, end, call.d_w_h + group * s.units * columns, rows);
    if (call.d_b)
      bias_gradient<F>(packed, columns, deep, first, end, row > 0, call.d_b + group * columns);
  }
}

template <typename F>
static void pack_for_inputs(const Gradients<F>& call, int64_t group, int64_t first, int64_t end,
                            typename F::Sum* packed) {
  constexpr int kPanel = JLSTM_ISA::kPanel<typename F::Sum>;
  const Sizes& s = call.sizes;
  const int64_t size = 4 * s.units;
  const auto* w = call.w_x + group * s.inputs * size;
  for (int64_t panel = first; panel < end; ++panel)
    pack_transposed<F>(w, s.inputs, size, panel * kPanel, kLanes,
                       packed + panel * words<F>(size) * kPanel);
}

// d_xs = d_z W_x^T for rows [from, to) of all steps and sequences, summed over groups [first, end).
// Their weights are packed one group after another.
template <typename F>
static void input_gradients(const Gradients<F>& call, int64_t first, int64_t end, int64_t from,
                            int64_t to, const typename F::Sum* packed) {
  using Sum = typename F::Sum;
  constexpr int kPanel = JLSTM_ISA::kPanel<Sum>, kWidth = JLSTM_ISA::kWidth<Sum>;
  const Sizes& s = call.sizes;
  const int64_t all = s.steps * s.batch, size = 4 * s.units;
  const int64_t panels = (s.inputs + kPanel - 1) / kPanel;
  auto* d_xs = call.d_xs + (call.shared_inputs ? 0 : first * all * s.inputs);
  auto panel_of = [&](int64_t group, int64_t panel) {
    return packed + ((group - first) * panels + panel) * words<F>(size) * kPanel;
  };
  // Sums over the groups and blocks so far, if d_xs would round them.
  Sum unfinished[jlstm::kRounds<F> ? kTall * kPanel : 1];
  for (int64_t begin = from; begin < to; begin += kTall) {
    const int count = int(smaller(kTall, to - begin));
    for (int64_t panel = 0; panel < panels; ++panel) {
      const Live<Sum> live(s.inputs, panel * kPanel);
      for (int64_t group = first; group < end; ++group) {
        const typename F::Stored* rows[kTall];
        for (int n = 0; n < count; ++n) rows[n] = call.d_z + (group * all + begin + n) * size;
        for (int64_t k = 0; k < size; k += kBlock<F>) {
          const int64_t block = smaller(kBlock<F>, size - k);
          const bool begins = group == first && k == 0;
          const bool ends = group + 1 == end && k + block == size;
          const Sum* w = panel_of(group, panel) + words<F>(k) * kPanel;
          const bool same = ends || k + block < size;  // the next block is of this group
          const Sum* next = same ? w + words<F>(block) * kPanel : panel_of(group + 1, panel);
          in_tiles<F>(
              count, next, words<F>(block),
              [&]<int R>(int n, auto meanwhile) __attribute__((always_inline)) {
                auto* out = d_xs + (begin + n) * s.inputs + panel * kPanel;
                auto for_each = [&](auto body) __attribute__((always_inline)) {
                  for (int r = 0; r < R; ++r)
                    for (int l = 0; l < kLanes; ++l)
                      body(r, l, out + r * s.inputs + l * kWidth,
                           unfinished + (jlstm::kRounds<F> ? (n + r) * kPanel + l * kWidth : 0));
                };
                Sums<F, R, kLanes> sums{};
                if (!begins)
                  for_each([&](int r, int l, auto* done, Sum* part) {
                    sums.of[r][l] = jlstm::kRounds<F> ? load(part) : load(done, live.of[l]);
                  });
                accumulate<F, R, kLanes>(sums, rows + n, k, block, w, meanwhile);
                for_each([&](int r, int l, auto* done, Sum* part) {
                  if (jlstm::kRounds<F> && !ends) {
                    store(part, sums.of[r][l]);
                  } else {
                    store(done, sums.of[r][l], live.of[l]);
                  }
                });
              });
        }
      }
    }
  }
}

}  // namespace JLSTM_ISA
