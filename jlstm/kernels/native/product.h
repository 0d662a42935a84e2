// Products of a few rows with a panel of packed weights, whose sums stay in registers.
//
// A panel holds kLanes vectors for each k, side by side: for the forward pass the four gates of
// kWidth units, for the backward pass the weights into 4 * kWidth units.
#pragma once
#include "vector.h"

namespace JLSTM_ISA {

constexpr int kLanes = 4;
constexpr int kAhead = 8;  // steps of k that weights are asked for in advance
constexpr int kFarAhead = 16;  // where one row reads them all
constexpr int kPanel = kLanes * kWidth;  // floats of a panel for each k

template <int R, int L>
struct Sums {
  Vector of[R][L];
};

// sums[r][l] += sum over k < size of rows[r][from + k] * panel[k][l]. Every sum is taken in the order of k, so
// that a result depends neither on R and L nor on who computes it. Meanwhile `Fetch` cache lines
// for each k are brought nearer from `next`: the first tile to read a panel would wait for memory.
template <int R, int L, int Fetch>
__attribute__((always_inline)) static inline void accumulate(Sums<R, L>& sums,
                                                             const float* const* rows,
                                                             int64_t from, int64_t size,
                                                             const float* panel,
                                                             const float* next) {
  constexpr int kLine = 64 / sizeof(float);
  const float* row[R];
  for (int r = 0; r < R; ++r) row[r] = rows[r] + from;
  for (int64_t k = 0; k < size; ++k) {
    Vector w[L];
#pragma GCC unroll 8
    for (int l = 0; l < L; ++l) __builtin_prefetch(panel + (k + kAhead) * (L * kWidth) + l * kWidth);
#pragma GCC unroll 8
    for (int n = 0; n < Fetch; ++n) __builtin_prefetch(next + (k * Fetch + n) * kLine, 0, 2);
#pragma GCC unroll 8
    for (int l = 0; l < L; ++l) w[l] = load(panel + k * (L * kWidth) + l * kWidth);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      Vector a = splat(row[r][k]);
#pragma GCC unroll 8
      for (int l = 0; l < L; ++l) sums.of[r][l] += a * w[l];
    }
  }
}

// One row with two panels at once: enough sums to hide the latency of an addition.
template <int L>
__attribute__((always_inline)) static inline void accumulate_two(Sums<1, L>& first, Sums<1, L>& second,
                                                          const float* row, int64_t size,
                                                          const float* panel,
                                                          const float* next_panel) {
  for (int64_t k = 0; k < size; ++k) {
    Vector a = splat(row[k]);
#pragma GCC unroll 8
    for (int l = 0; l < L; ++l) {
      __builtin_prefetch(panel + (k + kFarAhead) * (L * kWidth) + l * kWidth);
      __builtin_prefetch(next_panel + (k + kFarAhead) * (L * kWidth) + l * kWidth);
      first.of[0][l] += a * load(panel + k * (L * kWidth) + l * kWidth);
      second.of[0][l] += a * load(next_panel + k * (L * kWidth) + l * kWidth);
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
      case 1: call.template operator()<1>(); break;
      case 2: call.template operator()<2>(); break;
      case 3: if constexpr (kRows >= 3) call.template operator()<3>(); break;
      case 4: if constexpr (kRows >= 4) call.template operator()<4>(); break;
      case 5: if constexpr (kRows >= 5) call.template operator()<5>(); break;
      case 6: if constexpr (kRows >= 6) call.template operator()<6>(); break;
    }
    first += rows;
  }
}

// The gates of units [unit, unit + kWidth) of w [size, 4H] as one panel, zeros past the last unit.
static inline void pack_gates(const float* w, int64_t size, int64_t units, int64_t unit, float* panel) {
  int live = units - unit < kWidth ? units - unit : kWidth;
  for (int64_t k = 0; k < size; ++k)
    for (int gate = 0; gate < 4; ++gate)
      store(panel + k * kPanel + gate * kWidth, load(w + (k * 4 + gate) * units + unit, live));
}

// Units [unit, unit + L * kWidth) of the transpose of w [H, 4H] as one panel of L lanes.
static inline void pack_transposed(const float* w, int64_t units, int64_t unit, int lanes, float* panel) {
  const int64_t size = 4 * units, wide = lanes * kWidth;
  const int64_t live = units - unit < wide ? units - unit : wide;
  constexpr int64_t kBlock = 16;  // of k, a cache line of each row
  for (int64_t from = 0; from < size; from += kBlock) {
    int64_t to = from + kBlock < size ? from + kBlock : size;
    for (int64_t j = 0; j < live; ++j)
      for (int64_t k = from; k < to; ++k) panel[k * wide + j] = w[(unit + j) * size + k];
    for (int64_t k = from; k < to; ++k)
      for (int64_t j = live; j < wide; ++j) panel[k * wide + j] = 0.0f;
  }
}

}  // namespace JLSTM_ISA
