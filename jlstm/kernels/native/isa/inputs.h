// Input products of the forward pass for several steps at a time, and the packing of weights during
// these products.
//
// Products are limited by arithmetic and packing by memory, so the two overlap well.
#pragma once
#include "../passes.h"
#include "../plan.h"
#include "packing.h"
#include "product.h"

namespace JLSTM_ISA {

using jlstm::ForwardPass;
using jlstm::Part;
using jlstm::Sizes;

// The weights and inputs of a group.
template <typename F>
static auto input_weights(const ForwardPass<F>& pass) {
  return pass.call.w_x + pass.group * pass.call.sizes.inputs * 4 * pass.call.sizes.units;
}

template <typename F>
static auto recurrent_weights(const ForwardPass<F>& pass) {
  return pass.call.w_h + pass.group * pass.call.sizes.units * 4 * pass.call.sizes.units;
}

template <typename F>
static auto inputs_at(const ForwardPass<F>& pass, int64_t t, int64_t row) {
  const Sizes& s = pass.call.sizes;
  const int64_t group = pass.call.shared_inputs ? 0 : pass.group;
  return pass.call.xs + ((group * s.steps + t) * s.batch + row) * s.inputs;
}

// Vectors to pack for each word of a product if there are few rows; otherwise one.
constexpr int kHurried = 4;

// z [all rows of a part in steps [from, to)][kPanel] of one panel, packed at w. Meanwhile
// prefetches the panel `next` and packs `later`.
template <typename F, int L>
static void panel_products(const ForwardPass<F>& pass, const Part& part, int64_t from, int64_t to,
                           const typename F::Sum* w, const typename F::Sum* b,
                           const typename F::Sum* next, Unpacked<F> (&later)[2],
                           typename F::Sum* z) {
  using Sum = typename F::Sum;
  constexpr int kPanel = JLSTM_ISA::kPanel<Sum>, kWidth = JLSTM_ISA::kWidth<Sum>;
  const int64_t size = pass.call.sizes.inputs, length = words<F>(size);
  const int64_t rows = part.row_end - part.row, all = (to - from) * rows;
  const bool hurried = all / kRows<F> * length < later[0].count() + later[1].count();
  const typename F::Stored* inputs[kTogether];
  Sum* out[kTogether];
  for (int64_t n = 0; n < all;) {
    int count = 0;
    for (; n < all && count < kTogether; ++n) {
      const int64_t t = pass.time(from + n / rows), row = part.row + n % rows;
      if (!pass.valid(t, row)) continue;
      inputs[count] = inputs_at(pass, t, row);
      out[count++] = z + n * kPanel;
    }
    auto tile = [&]<int R>(int first, auto meanwhile) __attribute__((always_inline)) {
      Sums<F, R, L> sums;
      for (int r = 0; r < R; ++r)
        for (int l = 0; l < L; ++l) sums.of[r][l] = load(b + l * kWidth);
      accumulate<F, R, L>(sums, inputs + first, 0, size, w, meanwhile);
      for (int r = 0; r < R; ++r)
        for (int l = 0; l < L; ++l) store(out[first + r] + l * kWidth, sums.of[r][l]);
    };
    if (next) {
      in_tiles<F>(count, next, length, tile);
      continue;
    }
    in_tiles<F>(count, [&]<int R>(int first, int, int) __attribute__((always_inline)) {
      Unpacked<F> now;
      auto take = [&](int64_t vectors) {
        return later[0].take(vectors, now) || later[1].take(vectors, now);
      };
      if (hurried && take(kHurried * length)) {
        tile.template operator()<R>(first, Pack<F, kHurried>{now});
      } else if (take(length)) {
        tile.template operator()<R>(first, Pack<F, 1>{now});
      } else {
        tile.template operator()<R>(first, Nothing{});
      }
    });
  }
}

template <typename F>
static void input_products(const ForwardPass<F>& pass, const Part& part, int64_t from, int64_t to,
                           typename F::Sum* z, typename F::Sum* own) {
  using Sum = typename F::Sum;
  constexpr int kPanel = JLSTM_ISA::kPanel<Sum>;
  const Sizes& s = pass.call.sizes;
  const int64_t all = (to - from) * (part.row_end - part.row);
  const int64_t size = words<F>(s.inputs) * kPanel;
  auto own_panel = [&](int64_t panel) {
    return own + (panel - part.first) % jlstm::kOwnPanels * size;
  };
  if (!pass.w_x)
    pack_gates<F>(input_weights(pass), s.inputs, s.units, part.first, part.first + 1, own);
  for (int64_t panel = part.first; panel < part.end; ++panel) {
    const bool last = panel + 1 == part.end;
    const Sum* w = pass.w_x ? pass.w_x + panel * size : own_panel(panel);
    const Sum* next = pass.w_x && !last ? w + size : nullptr;
    Unpacked<F> later[2];
    if (!pass.w_x && !last)
      later[0] =
          begin_packing<F>(input_weights(pass), s.inputs, s.units, panel + 1, own_panel(panel + 1));
    if (pass.packs_beside && from == 0)
      later[1] = begin_packing<F>(recurrent_weights(pass), s.units, s.units, panel,
                                  pass.w_h + panel * words<F>(s.units) * kPanel);
    with_lanes(lanes_of<Sum>(s.units, panel), [&]<int L>() {
      panel_products<F, L>(pass, part, from, to, w, pass.b + panel * kPanel, next, later,
                           z + (panel - part.first) * all * kPanel);
    });
    for (const Unpacked<F>& rest : later)
      for (int64_t n = 0; n < rest.count(); ++n) rest.pack(n);
  }
}

}  // namespace JLSTM_ISA
