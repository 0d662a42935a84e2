// Products of a few rows with a panel of packed weights, whose sums stay in registers.
#pragma once
#include "packing.h"

namespace JLSTM_ISA {

constexpr int kTogether = 96;  // rows looked at together
constexpr int kAhead = 8;      // steps of k that weights are asked for in advance

template <int R, int L>
struct Sums {
  Vector of[R][L];
};

// sums[r][l] += sum over k < size of rows[r][from + k] * panel[k][l]. Every sum is taken in the
// order of k, so that a result depends neither on R and L nor on who computes it. Meanwhile `Fetch`
// cache lines for each k are brought nearer from `next`: the first tile to read a panel would wait
// for memory.
template <int R, int L, int Fetch>
__attribute__((always_inline)) static inline void accumulate(Sums<R, L>& sums,
                                                             const float* const* rows, int64_t from,
                                                             int64_t size, const float* panel,
                                                             const float* next) {
  constexpr int kLine = 64 / sizeof(float);
  const float* row[R];
  for (int r = 0; r < R; ++r) row[r] = rows[r] + from;
  for (int64_t k = 0; k < size; ++k) {
    Vector w[L];
#pragma GCC unroll 8
    for (int l = 0; l < L; ++l)
      __builtin_prefetch(panel + (k + kAhead) * (L * kWidth) + l * kWidth);
#pragma GCC unroll 8
    for (int n = 0; n < Fetch; ++n) __builtin_prefetch(next + (k * Fetch + n) * kLine, 0, 2);
#pragma GCC unroll 8
    for (int l = 0; l < L; ++l) {
      w[l] = load(panel + k * (L * kWidth) + l * kWidth);
      if (R < 4) keep_in_register(w[l]);
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      Vector a = splat(row[r][k]);
#pragma GCC unroll 8
      for (int l = 0; l < L; ++l) sums.of[r][l] = fma(a, w[l], sums.of[r][l]);
    }
  }
}

// One row with two panels at once: enough sums to hide the latency of an addition.
template <int L>
__attribute__((always_inline)) static inline void accumulate_two(Sums<1, L>& first,
                                                                 Sums<1, L>& second,
                                                                 const float* row, int64_t size,
                                                                 const float* panel,
                                                                 const float* next_panel) {
  for (int64_t k = 0; k < size; ++k) {
    Vector a = splat(row[k]);
#pragma GCC unroll 8
    for (int l = 0; l < L; ++l) {
      __builtin_prefetch(panel + (k + kAhead) * (L * kWidth) + l * kWidth);
      __builtin_prefetch(next_panel + (k + kAhead) * (L * kWidth) + l * kWidth);
      const int64_t at = k * (L * kWidth) + l * kWidth;
      first.of[0][l] = fma(a, load(panel + at), first.of[0][l]);
      second.of[0][l] = fma(a, load(next_panel + at), second.of[0][l]);
    }
  }
}

// Calls body.template operator()<R, Fetch>(first, next) over `count` rows in tiles as equal as can
// be. The tiles share out what to fetch of the next panel, which has `size` vectors of k.
template <typename Body>
__attribute__((always_inline)) static inline void in_tiles(int count, const float* next,
                                                           int64_t size, Body body) {
  constexpr int kLine = 64 / sizeof(float);
  constexpr int kLines = kPanel / kLine;  // of a panel for each k
  const int tiles = (count + kRows - 1) / kRows;
  const int fetch = tiles < 2 || !next ? 0 : (kLines + tiles - 1) / tiles;
  for (int tile = 0, first = 0; tile < tiles; ++tile) {
    const int rows = count / tiles + (tile < count % tiles);
    const bool fetches = fetch && tile * fetch < kLines;
    const float* from = next + tile * fetch * size * kLine;
    auto call = [&]<int R>() __attribute__((always_inline)) {
      if (!fetches) {
        body.template operator()<R, 0>(first, from);
      } else if (fetch == 1) {
        body.template operator()<R, 1>(first, from);
      } else {
        body.template operator()<R, 2>(first, from);
      }
    };
    switch (rows) {
      case 1:
        call.template operator()<1>();
        break;
      case 2:
        call.template operator()<2>();
        break;
      case 3:
        if constexpr (kRows >= 3) call.template operator()<3>();
        break;
      case 4:
        if constexpr (kRows >= 4) call.template operator()<4>();
        break;
      case 5:
        if constexpr (kRows >= 5) call.template operator()<5>();
        break;
      case 6:
        if constexpr (kRows >= 6) call.template operator()<6>();
        break;
    }
    first += rows;
  }
}

// A long panel is taken in blocks of which two fit the second cache: the one in use and the one
// that is fetched.
constexpr int64_t kBlock = 1024;

}  // namespace JLSTM_ISA
