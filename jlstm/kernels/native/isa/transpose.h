// Transposes blocks in registers, and packs panels of transposed weights.
#pragma once
#include <utility>

#include "../passes.h"
#include "words.h"

namespace JLSTM_ISA {

using jlstm::smaller;

// Index of the source of element e of the first or second of two rows, when off-diagonal blocks of
// D elements are exchanged. Elements of the second row have indices from Width on.
template <int D, int Width>
constexpr int exchanged(int e, bool second) {
  const bool right = e & D;
  if (second) return right ? Width + e : e + D;
  return right ? Width + e - D : e;
}

template <int D, typename V, int... E>
__attribute__((always_inline)) static inline void exchange(V& first, V& second,
                                                           std::integer_sequence<int, E...>) {
  const V a = first, b = second;
  first = __builtin_shufflevector(a, b, exchanged<D, sizeof...(E)>(E, false)...);
  second = __builtin_shufflevector(a, b, exchanged<D, sizeof...(E)>(E, true)...);
}

// Transposes N rows of N blocks of kWidth / N elements.
template <int D = 1, typename V, int N>
__attribute__((always_inline)) static inline void transpose(V (&rows)[N]) {
  constexpr int width = kWidth<Element<V>>;
#pragma GCC unroll 16
  for (int n = 0; n < N; ++n)
    if (!(n & D))
      exchange<D * width / N>(rows[n], rows[n + D], std::make_integer_sequence<int, width>{});
  if constexpr (2 * D < N) transpose<2 * D>(rows);
}

// out [wide][next_out] = the transpose of in [tall][next_in], both at most kWidth. Rows of `out`
// are written whole.
template <typename In, typename Out>
static void transpose_block(const In* in, int64_t next_in, int tall, int wide, Out* out,
                            int64_t next_out) {
  using V = Vector<Summed<In>>;
  constexpr int kSide = kWidth<Summed<In>>;
  V rows[kSide];
  for (int n = 0; n < kSide; ++n) rows[n] = n < tall ? load(in + n * next_in, wide) : V{};
  transpose(rows);
  for (int n = 0; n < wide; ++n) store(out + n * next_out, rows[n]);
}

// Packs rows [row, row + lanes * kWidth) of w [height, size], transposed, as one panel of words.
// The numbers of a word are neighbours in a row of w, whose size is a multiple of kTerms.
template <typename F>
static void pack_transposed(const typename F::Stored* w, int64_t height, int64_t size, int64_t row,
                            int lanes, typename F::Sum* panel) {
  using Word = typename F::Sum;
  constexpr int kSide = kWidth<Word>;
  const int64_t wide = lanes * kSide, length = size / kTerms<F>;
  // Two stored numbers are read as one word. Unaligned vectors may alias other types.
  using Read = std::conditional_t<kTerms<F> == 1, typename F::Stored, Word>;
  const Read* words = reinterpret_cast<const Read*>(w);
  for (int l = 0; l < lanes; ++l) {
    const int64_t first = row + l * kSide, left_over = height - first;
    const int live = int(left_over < 0 ? 0 : smaller(kSide, left_over));
    for (int64_t k = 0; k < length; k += kSide)
      transpose_block(words + first * length + k, length, live, int(smaller(kSide, length - k)),
                      panel + k * wide + l * kSide, wide);
  }
}

}  // namespace JLSTM_ISA
