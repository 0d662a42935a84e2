// Products of a few rows with a panel of packed weights, whose sums stay in registers.
//
// A panel holds kLanes vectors for each k, side by side: for the forward pass the four gates of
// kWidth units, for the backward pass the weights into 4 * kWidth units.
#pragma once
#include <utility>

#include "recurrence.h"
#include "vector.h"

namespace JLSTM_ISA {

using jlstm::smaller;

constexpr int kLanes = 4;
constexpr int kTogether = 96;  // rows looked at together
constexpr int kAhead = 8;  // steps of k that weights are asked for in advance
constexpr int kFarAhead = 8;  // where one row reads them all
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

// z [panels][kPanel] += K elements of a row times K rows of weights that are not packed: w points
// at the first of the wanted units in [.., 4 * units]; the last panel has `live` units.
template <int K>
__attribute__((always_inline)) static inline void add_rows(float* z, int64_t panels,
                                                           const float* row, const float* w,
                                                           int64_t units, int live) {
  for (int l = 0; l < kLanes; ++l)
    for (int64_t panel = 0; panel < panels; ++panel) {
      float* out = z + panel * kPanel + l * kWidth;
      Vector sum = load(out);
#pragma GCC unroll 8
      for (int k = 0; k < K; ++k) {
        const float* from = w + (k * kLanes + l) * units + panel * kWidth;
        sum = fma(splat(row[k]), load(from, panel + 1 < panels ? kWidth : live), sum);
      }
      store(out, sum);
    }
}

// z [count][panels][kPanel] += `count` rows times all of w [size, 4 * units], as it lies in memory:
// one pass over it, a few rows at a time, which is what memory is fastest at.
static inline void accumulate_in_place(float* z, int64_t panels, const float* const* rows,
                                       int count, int64_t size, const float* w, int64_t units,
                                       int live) {
  constexpr int kAtOnce = 4;
  for (int64_t k = 0; k < size; k += kAtOnce)
    for (int n = 0; n < count; ++n) {
      float* out = z + n * panels * kPanel;
      const float* from = w + k * kLanes * units;
      if (k + kAtOnce <= size) {
        add_rows<kAtOnce>(out, panels, rows[n] + k, from, units, live);
        continue;
      }
      for (int64_t last = 0; k + last < size; ++last)
        add_rows<1>(out, panels, rows[n] + k + last, from + last * kLanes * units, units, live);
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

// The gates of vectors [first, end) of units of w [size, 4H], a panel for each vector, zeros past
// the last unit. Several panels at once take neighbouring cache lines of each row.
static inline void pack_gates(const float* w, int64_t size, int64_t units, int64_t first,
                              int64_t end, float* panels) {
  constexpr int64_t kAtOnce = 4, kRowsAhead = 8;
  for (int64_t from = first; from < end; from += kAtOnce) {
    const int64_t to = smaller(from + kAtOnce, end);
    for (int64_t k = 0; k < size; ++k)
      for (int gate = 0; gate < 4; ++gate) {
        const float* row = w + (k * 4 + gate) * units;
        for (int64_t vector = from; vector < to; ++vector) {
          const int64_t unit = vector * kWidth;
          __builtin_prefetch(row + kRowsAhead * 4 * units + unit);
          store(panels + (vector - first) * size * kPanel + k * kPanel + gate * kWidth,
                load(row + unit, int(smaller(kWidth, units - unit))));
        }
      }
  }
}

// Where element E of the first or second of two rows comes from when blocks of D elements beside
// the diagonal change places; the second row's elements count from kWidth.
template <int D, bool Second>
constexpr int exchanged(int e) {
  const bool right = e & D;
  if (Second) return right ? kWidth + e : e + D;
  return right ? kWidth + e - D : e;
}

template <int D, int... E>
__attribute__((always_inline)) static inline void exchange(Vector (&rows)[kWidth],
                                                           std::integer_sequence<int, E...>) {
#pragma GCC unroll 16
  for (int n = 0; n < kWidth; ++n) {
    if (n & D) continue;
    const Vector a = rows[n], b = rows[n + D];
    rows[n] = __builtin_shufflevector(a, b, exchanged<D, false>(E)...);
    rows[n + D] = __builtin_shufflevector(a, b, exchanged<D, true>(E)...);
  }
  if constexpr (2 * D < kWidth) exchange<2 * D>(rows, std::integer_sequence<int, E...>{});
}

// out [wide][next_out] = the transpose of in [tall][next_in], both at most kWidth.
static inline void transpose_block(const float* in, int64_t next_in, int tall, int wide, float* out,
                                   int64_t next_out) {
  Vector rows[kWidth];
  for (int n = 0; n < kWidth; ++n) rows[n] = n < tall ? load(in + n * next_in, wide) : Vector{};
  exchange<1>(rows, std::make_integer_sequence<int, kWidth>{});
  for (int n = 0; n < wide; ++n) store(out + n * next_out, rows[n]);
}

// Rows [row, row + lanes * kWidth) of w [height, size], transposed, as one panel.
static inline void pack_transposed(const float* w, int64_t height, int64_t size, int64_t row,
                                   int lanes, float* panel) {
  const int64_t wide = lanes * kWidth;
  for (int l = 0; l < lanes; ++l) {
    const int64_t first = row + l * kWidth, left_over = height - first;
    const int live = int(left_over < 0 ? 0 : smaller(kWidth, left_over));
    for (int64_t k = 0; k < size; k += kWidth)
      transpose_block(w + first * size + k, size, live, int(smaller(kWidth, size - k)),
                      panel + k * wide + l * kWidth, wide);
  }
}

// A long panel is taken in blocks of which two fit the second cache: the one in use and the one
// that is fetched.
constexpr int64_t kBlock = 1024;

}  // namespace JLSTM_ISA
