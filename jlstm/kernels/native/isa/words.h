// Words of packed weights: how panels hold the numbers of a format, and how products multiply them.
//
// A word has kTerms numbers. With one, the word is that number as a Sum. With two, which only
// bfloat16 has, its halves are the numbers of two neighbouring rows of weights in one column, the
// first in the lower half. A product multiplies them by two neighbouring numbers of the other
// operand.
#pragma once
#include "numbers.h"

namespace JLSTM_ISA {

using jlstm::BFloat16;

// Numbers in a word. With vectors of 128 bits, splitting words would take more time than it saves
// by reading half the memory. Their panels hold bfloat16 weights as floats.
template <typename F>
constexpr int kTerms = std::is_same_v<F, BFloat16> && kBytes >= 32 ? 2 : 1;

template <typename F>
JLSTM_INLINE static int64_t words(int64_t size) {
  return jlstm::words(size, kTerms<F>);
}

// A format that stores a format's sums, without rounding.
template <typename F>
using SumsOf = std::conditional_t<sizeof(typename F::Sum) == 4, jlstm::Float32, jlstm::Float64>;

// The rows of a tile of a product. A tile has 4 vectors of sums for each row, which must leave
// registers for both operands.
template <typename F>
constexpr int kRows =
#if defined(__AVX512BF16__)
    6;  // 6 x 4 sums leave 8 of 32 registers
#elif defined(__AVX512F__)
    kTerms<F> == 1 ? 6 : 5;  // the halves of words need registers
#elif defined(__AVX2__)
    kTerms<F> == 1 ? 3 : 2;  // 3 x 4 sums leave 4 of 16 registers
#elif defined(__aarch64__)
    sizeof(Vector<typename F::Sum>) == kBytes ? 6 : 3;
#else
    sizeof(Vector<typename F::Sum>) == kBytes ? 2 : 1;
#endif

// Left operand of a product: a word of a row, repeated in every lane.
template <typename F>
struct Left {
  Vector<typename F::Sum> number;
};

// Right operand: a vector of words of a panel.
template <typename F>
struct Right {
  Vector<typename F::Sum> number;
};

// Without an instruction for words of two numbers, operands are split into floats.
#if defined(__AVX2__) && !defined(__AVX512BF16__)
template <>
struct Left<BFloat16> {
  Vector<float> first, second;
};
template <>
struct Right<BFloat16> {
  Vector<float> first, second;
};
#endif

// Word k of a row.
template <typename F>
__attribute__((always_inline)) static inline Left<F> left(const typename F::Stored* row,
                                                          int64_t k) {
  if constexpr (kTerms<F> == 1) {
    return {splat(number(row[k]))};
  } else {
#if defined(__AVX512BF16__)
    int32_t word;
    std::memcpy(&word, row + 2 * k, sizeof word);
    return {(Vector<float>)_mm512_set1_epi32(word)};
#elif defined(__AVX2__)
    return {splat(number(row[2 * k])), splat(number(row[2 * k + 1]))};
#endif
  }
}

// The last word of a row with an odd number of numbers; its second half is zero.
template <typename F>
__attribute__((always_inline)) static inline Left<F> left_half(const typename F::Stored* row,
                                                               int64_t k) {
  static_assert(kTerms<F> == 2);
  const typename F::Stored last[2] = {row[2 * k], {}};
  return left<F>(last, 0);
}

template <typename F>
__attribute__((always_inline)) static inline Right<F> right(const typename F::Sum* panel) {
  const Vector<typename F::Sum> word = load(panel);
#if !defined(__AVX512BF16__)
  if constexpr (kTerms<F> == 2) {
    const auto both = bits(word);
    return {floats(both << 16), floats(both & (both - both - 0x10000))};
  } else
#endif
    return {word};
}

template <typename F>
__attribute__((always_inline)) static inline void keep_in_registers(Right<F>& w) {
#if !defined(__AVX512BF16__)
  if constexpr (kTerms<F> == 2) {
    keep_in_register(w.first);
    keep_in_register(w.second);
  } else
#endif
    keep_in_register(w.number);
}

// a * w + sum, summed over the numbers of a word.
template <typename F>
__attribute__((always_inline)) static inline Vector<typename F::Sum> multiply_add(
    const Left<F>& a, const Right<F>& w, Vector<typename F::Sum> sum) {
  if constexpr (kTerms<F> == 1) {
    return fma(a.number, w.number, sum);
  } else {
#if defined(__AVX512BF16__)
    return (Vector<float>)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a.number, (__m512bh)w.number);
#else
    return fma(a.second, w.second, fma(a.first, w.first, sum));
#endif
  }
}

// sum + the numbers of the words at p, in each lane.
template <typename F>
static inline Vector<typename F::Sum> add_numbers(const typename F::Sum* p,
                                                  Vector<typename F::Sum> sum) {
  if constexpr (kTerms<F> == 1) return sum + load(p);
  const auto both = bits(load(p));
  return sum + floats(both << 16) + floats(both & (both - both - 0x10000));
}

// A vector of words for a panel. Lane n has the numbers of column n in kTerms rows, the first of
// which begins at p. Lanes from `live` on are zero, and so are rows from `rows` on.
template <typename F>
__attribute__((always_inline)) static inline Vector<typename F::Sum> words_of_rows(
    const typename F::Stored* p, int64_t next_row, int64_t rows, int live) {
  if constexpr (kTerms<F> == 1) {
    return load(p, live);
  } else {
    const Unsigned first = lower_halves(p, live);
    const Unsigned second = rows > 1 ? lower_halves(p + next_row, live) : Unsigned{};
    return floats(Integers<Vector<float>>(first | second << 16));
  }
}

}  // namespace JLSTM_ISA
