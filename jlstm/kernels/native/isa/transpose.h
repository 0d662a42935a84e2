// Transposes blocks in registers, and packs panels of transposed weights.
#pragma once
#include <utility>

#include "../recurrence.h"
#include "vector.h"

namespace JLSTM_ISA {

using jlstm::smaller;

// Index of the source of element e of the first or second of two rows, when off-diagonal blocks of
// D elements are exchanged. Elements of the second row have indices from kWidth on.
template <int D, bool Second>
constexpr int exchanged(int e) {
  const bool right = e & D;
  if (Second) return right ? kWidth + e : e + D;
  return right ? kWidth + e - D : e;
}

template <int D, int... E>
__attribute__((always_inline)) static inline void exchange(Vector& first, Vector& second,
                                                           std::integer_sequence<int, E...>) {
  const Vector a = first, b = second;
  first = __builtin_shufflevector(a, b, exchanged<D, false>(E)...);
  second = __builtin_shufflevector(a, b, exchanged<D, true>(E)...);
}

// Transposes N rows of N blocks of kWidth / N elements.
template <int N, int D = 1>
__attribute__((always_inline)) static inline void transpose(Vector (&rows)[N]) {
#pragma GCC unroll 16
  for (int n = 0; n < N; ++n)
    if (!(n & D))
      exchange<D * kWidth / N>(rows[n], rows[n + D], std::make_integer_sequence<int, kWidth>{});
  if constexpr (2 * D < N) transpose<N, 2 * D>(rows);
}

// out [wide][next_out] = the transpose of in [tall][next_in], both at most kWidth.
static inline void transpose_block(const float* in, int64_t next_in, int tall, int wide, float* out,
                                   int64_t next_out) {
  Vector rows[kWidth];
  for (int n = 0; n < kWidth; ++n) rows[n] = n < tall ? load(in + n * next_in, wide) : Vector{};
  transpose(rows);
  for (int n = 0; n < wide; ++n) store(out + n * next_out, rows[n]);
}

// Packs rows [row, row + lanes * kWidth) of w [height, size], transposed, as one panel.
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
