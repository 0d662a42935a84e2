// Sigmoid and tanh of vectors.
//
// The error is at most 2.6 units in the last place in float32 and 4 in float64. In float32 neither
// function ever decreases as x increases. tests/kernels/native/activations.cc checks this and the
// error for all floats, tests/kernels/test_cpu_library.py the errors of a sample in both formats.
// Limits at the infinities are exact, and NaN stays NaN.
#pragma once
#include "vector.h"

namespace JLSTM_ISA {

// Constants of exp(x) = 2^n exp(r), r = x - n log 2. `high` and `low` sum to log 2, and n * high is
// exact. `magic` is 1.5 * 2^(bits of the significand): adding it rounds to whole numbers.
template <typename S>
struct Exp;

template <>
struct Exp<float> {
  static constexpr float magic = 12582912.0f, high = 0.693359375f, low = -2.12194440e-4f;
  static constexpr float most = 87.0f;      // exp(most) is finite
  static constexpr float saturated = 9.5f;  // tanh is 1 from here on
  static constexpr int bias = 127, significand = 23;
  // exp(r) - 1 - r as a polynomial of r, over r^2; the highest power first. The relative error of
  // exp(r) is below 2^-26.
  static constexpr float series[] = {1.9845459e-4f, 1.3939863e-3f, 8.3334519e-3f,
                                     4.1666457e-2f, 1.6666666e-1f, 5.0000000e-1f};
};

template <>
struct Exp<double> {
  static constexpr double magic = 6755399441055744.0;
  static constexpr double high = 0.693147180369123816490, low = 1.90821492927058770002e-10;
  static constexpr double most = 708.0, saturated = 20.0;
  static constexpr int bias = 1023, significand = 52;
  // Taylor's series, 1 / 13! to 1 / 2!. For |r| <= log(2) / 2 its error is below 2^-57.
  static constexpr double series[] = {
      1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320,
      1.0 / 5040,       1.0 / 720,       1.0 / 120,      1.0 / 24,      1.0 / 6,      1.0 / 2};
};

// exp(x) = scale * (1 + rest) for |x| <= most, where scale is a power of two. Cody and Waite's
// reduction.
template <typename V>
struct Exponential {
  V scale, rest;
};

template <typename V>
static inline Exponential<V> exponential(V x) {
  using S = Element<V>;
  using E = Exp<S>;
  const V magic = splat(E::magic);
  const V shifted = fma(x, splat(S(1.4426950408889634074)), magic);
  const V n = shifted - magic;
  const V r = fma(n, splat(-E::low), fma(n, splat(-E::high), x));
  V p = splat(E::series[0]);
#pragma GCC unroll 16
  for (unsigned k = 1; k < sizeof E::series / sizeof(S); ++k) p = fma(p, r, splat(E::series[k]));
  const Integers<V> power = (bits(shifted) - bits(magic) + E::bias) << E::significand;
  return {floats(power), fma(p, r * r, r)};
}

// Zero below -most.
template <typename V>
static inline V sigmoid(V x) {
  using S = Element<V>;
  constexpr S most = Exp<S>::most;
  V limited = x > most ? splat(most) : x;
  limited = limited < -most ? splat(-most) : limited;
  const Exponential<V> e = exponential(-limited);
  const V y = S(1) / fma(e.scale, e.rest, S(1) + e.scale);
  return x < -most ? V{} : y;
}

// -m / (2 + m) with m = exp(-2|x|) - 1, which keeps its relative accuracy near 0.
template <typename V>
static inline V tanh(V x) {
  using S = Element<V>;
  constexpr S saturated = Exp<S>::saturated;
  const Integers<V> sign_bit = Integers<V>{} + std::conditional_t<sizeof(S) == 4, int32_t, int64_t>(
                                                   sizeof(S) == 4 ? INT32_MIN : INT64_MIN);
  const Integers<V> sign = bits(x) & sign_bit;
  V a = floats(bits(x) & ~sign_bit);
  a = a > saturated ? splat(saturated) : a;
  const Exponential<V> e = exponential(S(-2) * a);
  const V m = fma(e.scale, e.rest, e.scale - S(1));
  return floats(bits(-m / (S(2) + m)) | sign);
}

}  // namespace JLSTM_ISA
