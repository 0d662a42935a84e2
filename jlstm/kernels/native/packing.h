// Weights rearranged into panels, which products read from front to back.
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
constexpr int kPanel = kLanes * kWidth;  // floats of a panel for each k

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

}  // namespace JLSTM_ISA
