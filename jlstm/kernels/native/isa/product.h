// Products of a few rows with a panel of packed weights, with sums in registers.
#pragma once
#include "packing.h"

namespace JLSTM_ISA {

constexpr int kTogether = 96;  // rows processed together
constexpr int kAhead = 8;      // steps of k by which weights are prefetched

template <int R, int L>
struct Sums {
  Vector of[R][L];
};

// A product may use idle memory bandwidth: for each k it calls one of three functions. This one
// does nothing.
struct Nothing {
  void operator()(int64_t) const {}
};

// Prefetches N cache lines of the next panel, for which its first tile would otherwise wait.
template <int N>
struct Fetch {
  const float* next;

  __attribute__((always_inline)) void operator()(int64_t k) const {
    constexpr int kLine = 64 / sizeof(float);
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) __builtin_prefetch(next + (k * N + n) * kLine, 0, 2);
  }
};

// Packs N vectors of weights.
template <int N>
struct Pack {
  static constexpr int64_t kEarly = 48;  // vectors by which the weights are prefetched
  Unpacked weights;

  __attribute__((always_inline)) void operator()(int64_t k) const {
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) {
      const float* from = weights.from + (k * N + n) * weights.stride;
      __builtin_prefetch(from + kEarly * weights.stride, 0, 2);
      store(weights.to + (k * N + n) * kWidth, load(from));
    }
  }
};

// sums[r][l] += sum over k < size of rows[r][from + k] * panel[k][l]. Every sum is computed in the
// order of k. Results therefore do not depend on R, on L, or on which thread computes them.
template <int R, int L, typename Meanwhile>
__attribute__((always_inline)) static inline void accumulate(Sums<R, L>& sums,
                                                             const float* const* rows, int64_t from,
                                                             int64_t size, const float* panel,
                                                             Meanwhile meanwhile) {
  const float* row[R];
  for (int r = 0; r < R; ++r) row[r] = rows[r] + from;
  for (int64_t k = 0; k < size; ++k) {
    Vector w[L];
#pragma GCC unroll 8
    for (int l = 0; l < L; ++l)
      __builtin_prefetch(panel + (k + kAhead) * (L * kWidth) + l * kWidth);
    meanwhile(k);
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

// One row with two panels at once: enough sums to hide the latency of an addition. There is no
// explicit prefetch here: the processor recognises this access pattern and is faster by itself.
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
      const int64_t at = k * (L * kWidth) + l * kWidth;
      first.of[0][l] = fma(a, load(panel + at), first.of[0][l]);
      second.of[0][l] = fma(a, load(next_panel + at), second.of[0][l]);
    }
  }
}

// Divides `count` rows into tiles of nearly equal size, and calls
// body.template operator()<R>(first, tile, tiles) for each tile of R rows.
template <typename Body>
__attribute__((always_inline)) static inline void in_tiles(int count, Body body) {
  const int tiles = (count + kRows - 1) / kRows;
  for (int tile = 0, first = 0; tile < tiles; ++tile) {
    const int rows = count / tiles + (tile < count % tiles);
    switch (rows) {
      case 1:
        body.template operator()<1>(first, tile, tiles);
        break;
      case 2:
        body.template operator()<2>(first, tile, tiles);
        break;
      case 3:
        if constexpr (kRows >= 3) body.template operator()<3>(first, tile, tiles);
        break;
      case 4:
        if constexpr (kRows >= 4) body.template operator()<4>(first, tile, tiles);
        break;
      case 5:
        if constexpr (kRows >= 5) body.template operator()<5>(first, tile, tiles);
        break;
      case 6:
        if constexpr (kRows >= 6) body.template operator()<6>(first, tile, tiles);
        break;
    }
    first += rows;
  }
}

// The same, but calls body.template operator()<R>(first, meanwhile). Each tile prefetches a part of
// the next panel, which has `size` steps of k.
template <typename Body>
__attribute__((always_inline)) static inline void in_tiles(int count, const float* next,
                                                           int64_t size, Body body) {
  constexpr int kLine = 64 / sizeof(float);
  constexpr int kLines = kPanel / kLine;  // of a panel for each k
  in_tiles(count, [&]<int R>(int first, int tile, int tiles) __attribute__((always_inline)) {
    const int fetch = tiles < 2 || !next ? 0 : (kLines + tiles - 1) / tiles;
    const float* from = next + tile * fetch * size * kLine;
    if (!fetch || tile * fetch >= kLines) {
      body.template operator()<R>(first, Nothing{});
    } else if (fetch == 1) {
      body.template operator()<R>(first, Fetch<1>{from});
    } else {
      body.template operator()<R>(first, Fetch<2>{from});
    }
  });
}

// A long panel is processed in blocks. Two of them fit the second-level cache: the current block
// and the one that is prefetched.
constexpr int64_t kBlock = 1024;

}  // namespace JLSTM_ISA
