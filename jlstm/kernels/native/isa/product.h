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

// What a product does beside its sums for each k, while they keep the arithmetic busy: nothing;
struct Nothing {
  void operator()(int64_t) const {}
};

// bringing N cache lines nearer of the next panel, for the first tile to read a panel would wait
// for memory;
template <int N>
struct Fetch {
  const float* next;

  __attribute__((always_inline)) void operator()(int64_t k) const {
    constexpr int kLine = 64 / sizeof(float);
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) __builtin_prefetch(next + (k * N + n) * kLine, 0, 2);
  }
};

// or packing N vectors of weights.
template <int N>
struct Pack {
  static constexpr int64_t kEarly = 48;  // vectors that are asked for in advance
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

// sums[r][l] += sum over k < size of rows[r][from + k] * panel[k][l]. Every sum is taken in the
// order of k, so that a result depends neither on R and L nor on who computes it.
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

// One row with two panels at once: enough sums to hide the latency of an addition. Here weights are
// not asked for in advance: the processor sees where such reading leads, and is faster by itself.
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

// Calls body.template operator()<R>(first, tile, tiles) over `count` rows in tiles as equal as can
// be.
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

// Calls body.template operator()<R>(first, meanwhile) likewise. The tiles share out what to fetch
// of the next panel, which has `size` vectors of k.
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

// A long panel is taken in blocks of which two fit the second cache: the one in use and the one
// that is fetched.
constexpr int64_t kBlock = 1024;

}  // namespace JLSTM_ISA
