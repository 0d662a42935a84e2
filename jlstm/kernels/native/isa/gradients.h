// Gradients of weights and inputs from d_z, over all steps at once.
#pragma once
#include "../recurrence.h"
#include "product.h"

namespace JLSTM_ISA {

using jlstm::Gradients;
using jlstm::kDeep;
using jlstm::kTall;
using jlstm::Sizes;

// Packs `deep` rows of d_z, from `row` on: panels [first, end) of its columns, each kPanel wide.
static void pack_columns(const float* d_z, int64_t columns, int64_t row, int64_t deep,
                         int64_t first, int64_t end, float* packed) {
  for (int64_t panel = first; panel < end; ++panel)
    for (int64_t k = 0; k < deep; ++k)
      for (int l = 0; l < kLanes; ++l) {
        const int64_t column = panel * kPanel + l * kWidth;
        const int64_t live = smaller(kWidth, columns - column);
        const float* from = d_z + (row + k) * columns + column;
        store(packed + ((panel - first) * kDeep + k) * kPanel + l * kWidth,
              live > 0 ? load(from, int(live)) : Vector{});
      }
}

// rows [kTall][kDeep] = the transpose of columns [first, first + tall) of a [.., width].
static void pack_rows(const float* a, int64_t width, int64_t row, int64_t deep, int64_t first,
                      int64_t tall, float* rows) {
  for (int64_t m = 0; m < tall; m += kWidth)
    for (int64_t k = 0; k < deep; k += kWidth)
      transpose_block(a + (row + k) * width + first + m, width, int(smaller(kWidth, deep - k)),
                      int(smaller(kWidth, tall - m)), rows + m * kDeep + k, kDeep);
}

// d_w [width, 4H] += a^T d_z over `deep` rows from `row` on, for panels [first, end) of its
// columns. If `row` is 0, d_w is overwritten.
static void weight_product(const float* a, int64_t width, int64_t row, int64_t deep,
                           const float* packed, int64_t columns, int64_t first, int64_t end,
                           float* d_w, float* rows) {
  for (int64_t from = 0; from < width; from += kTall) {
    const int tall = int(smaller(kTall, width - from));
    pack_rows(a, width, row, deep, from, tall, rows);
    const float* left[kTall];
    for (int m = 0; m < tall; ++m) left[m] = rows + m * kDeep;
    for (int64_t panel = first; panel < end; ++panel) {
      const float* w = packed + (panel - first) * kDeep * kPanel;
      const float* next = panel + 1 < end ? w + kDeep * kPanel : nullptr;
      in_tiles(tall, next, deep, [&]<int R>(int m, auto meanwhile) __attribute__((always_inline)) {
        Sums<R, kLanes> sums{};
        float* out = d_w + (from + m) * columns + panel * kPanel;
        int live[kLanes];
        for (int l = 0; l < kLanes; ++l) {
          const int64_t left_over = columns - panel * kPanel - l * kWidth;
          live[l] = int(left_over < 0 ? 0 : smaller(kWidth, left_over));
        }
        if (row)
          for (int r = 0; r < R; ++r)
            for (int l = 0; l < kLanes; ++l)
              sums.of[r][l] = load(out + r * columns + l * kWidth, live[l]);
        accumulate<R, kLanes>(sums, left + m, 0, deep, w, meanwhile);
        for (int r = 0; r < R; ++r)
          for (int l = 0; l < kLanes; ++l)
            store(out + r * columns + l * kWidth, sums.of[r][l], live[l]);
      });
    }
  }
}

static void weight_gradients(const Gradients& call, int64_t group, int64_t first, int64_t end,
                             float* packed, float* rows) {
  const Sizes& s = call.sizes;
  const int64_t all = s.steps * s.batch, columns = 4 * s.units;
  const float* d_z = call.d_z + group * all * columns;
  const float* xs = call.xs + (call.shared_inputs ? 0 : group * all * s.inputs);
  for (int64_t row = 0; row < all; row += kDeep) {
    const int64_t deep = smaller(kDeep, all - row);
    pack_columns(d_z, columns, row, deep, first, end, packed);
    if (call.d_w_x)
      weight_product(xs, s.inputs, row, deep, packed, columns, first, end,
                     call.d_w_x + group * s.inputs * columns, rows);
    if (call.d_w_h)
      weight_product(call.h_before + group * all * s.units, s.units, row, deep, packed, columns,
                     first, end, call.d_w_h + group * s.units * columns, rows);
    if (!call.d_b) continue;
    for (int64_t panel = first; panel < end; ++panel)
      for (int l = 0; l < kLanes; ++l) {
        const int64_t column = panel * kPanel + l * kWidth;
        if (column >= columns) break;
        const int live = int(smaller(kWidth, columns - column));
        float* out = call.d_b + group * columns + column;
        Vector sum = row ? load(out, live) : Vector{};
        for (int64_t k = 0; k < deep; ++k)
          sum += load(packed + ((panel - first) * kDeep + k) * kPanel + l * kWidth);
        store(out, sum, live);
      }
  }
}

static void pack_for_inputs(const Gradients& call, int64_t group, int64_t first, int64_t end,
                            float* packed) {
  const Sizes& s = call.sizes;
  const int64_t size = 4 * s.units;
  const float* w = call.w_x + group * s.inputs * size;
  for (int64_t panel = first; panel < end; ++panel)
    pack_transposed(w, s.inputs, size, panel * kPanel, kLanes, packed + panel * size * kPanel);
}

// d_xs = d_z W_x^T for rows [from, to) of all steps and sequences; added to d_xs if `more`.
static void input_gradients(const Gradients& call, int64_t group, int64_t from, int64_t to,
                            const float* packed, bool more) {
  const Sizes& s = call.sizes;
  const int64_t all = s.steps * s.batch, size = 4 * s.units;
  const int64_t panels = (s.inputs + kPanel - 1) / kPanel;
  float* d_xs = call.d_xs + (call.shared_inputs ? 0 : group * all * s.inputs);
  for (int64_t begin = from; begin < to; begin += kTall) {
    const int count = int(smaller(kTall, to - begin));
    const float* rows[kTall];
    for (int n = 0; n < count; ++n) rows[n] = call.d_z + (group * all + begin + n) * size;
    for (int64_t panel = 0; panel < panels; ++panel) {
      int live[kLanes];
      for (int l = 0; l < kLanes; ++l) {
        const int64_t left_over = s.inputs - panel * kPanel - l * kWidth;
        live[l] = int(left_over < 0 ? 0 : smaller(kWidth, left_over));
      }
      for (int64_t k = 0; k < size; k += kBlock) {
        const int64_t block = smaller(kBlock, size - k);
        const float* w = packed + (panel * size + k) * kPanel;
        in_tiles(count, w + block * kPanel, block,
                 [&]<int R>(int n, auto meanwhile) __attribute__((always_inline)) {
                   float* out = d_xs + (begin + n) * s.inputs + panel * kPanel;
                   Sums<R, kLanes> sums{};
                   if (k || more)
                     for (int r = 0; r < R; ++r)
                       for (int l = 0; l < kLanes; ++l)
                         sums.of[r][l] = load(out + r * s.inputs + l * kWidth, live[l]);
                   accumulate<R, kLanes>(sums, rows + n, k, block, w, meanwhile);
                   for (int r = 0; r < R; ++r)
                     for (int l = 0; l < kLanes; ++l)
                       store(out + r * s.inputs + l * kWidth, sums.of[r][l], live[l]);
                 });
      }
    }
  }
}

}  // namespace JLSTM_ISA
