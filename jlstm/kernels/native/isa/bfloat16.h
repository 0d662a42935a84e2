// bfloat16 in memory, and as floats in registers.
#pragma once
#include "vector.h"

namespace JLSTM_ISA {

typedef uint16_t Halves __attribute__((vector_size(2 * kWidth<float>)));
typedef uint16_t UnalignedHalves
    __attribute__((vector_size(2 * kWidth<float>), aligned(2), may_alias));
typedef uint32_t Unsigned __attribute__((vector_size(kBytes)));

// The nearest bfloat16 numbers, ties to even, as floats. NaN stays NaN.
static inline Vector<float> rounded(Vector<float> a) {
  const Integers<Vector<float>> i = bits(a), even = (i >> 16) & 1;
  const Integers<Vector<float>> upper = Integers<Vector<float>>{} - 0x10000;
  return a == a ? floats((i + 0x7fff + even) & upper) : floats((i | 0x400000) & upper);
}

// GCC 12 cannot convert between vectors of 8 and 16 bytes.
template <typename To, typename From>
__attribute__((always_inline)) static inline To converted(From a) {
  if constexpr (kBytes > 16) return __builtin_convertvector(a, To);
  To b;
  for (int lane = 0; lane < kWidth<float>; ++lane) b[lane] = a[lane];
  return b;
}

static inline Vector<float> widened(Halves a) {
  return floats(Integers<Vector<float>>(converted<Unsigned>(a) << 16));
}

static inline Halves narrowed(Vector<float> a) {
  return converted<Halves>(Unsigned(bits(rounded(a))) >> 16);
}

static inline Vector<float> load(const bfloat16* p) {
  return widened(*reinterpret_cast<const UnalignedHalves*>(p));
}

static inline void store(bfloat16* p, Vector<float> a) {
  *reinterpret_cast<UnalignedHalves*>(p) = narrowed(a);
}

static inline Vector<float> load_some(const bfloat16* p, int n) {
  Halves a{};
  std::memcpy(&a, p, n * sizeof *p);
  return widened(a);
}

static inline void store_some(bfloat16* p, Vector<float> a, int n) {
  const Halves half = narrowed(a);
  std::memcpy(p, &half, n * sizeof *p);
}

// The bits of the first n numbers at p, in the lower half of each lane.
static inline Unsigned lower_halves(const bfloat16* p, int n) {
  Halves a{};
  if (n == kWidth<float>) {
    a = *reinterpret_cast<const UnalignedHalves*>(p);
  } else {
    std::memcpy(&a, p, n * sizeof *p);
  }
  return converted<Unsigned>(a);
}

static inline float number(bfloat16 a) {
  const uint32_t i = uint32_t(a) << 16;
  float f;
  std::memcpy(&f, &i, sizeof f);
  return f;
}

static inline float number(float a) { return a; }
static inline double number(double a) { return a; }

template <typename S>
using Summed = decltype(number(S{}));

// The first n numbers at p, followed by zeros. Does not read memory beyond them.
template <typename S>
static inline Vector<Summed<S>> load(const S* p, int n) {
  return n == kWidth<Summed<S>> ? load(p) : load_some(p, n);
}

template <typename S>
static inline void store(S* p, Vector<Summed<S>> a, int n) {
  if (n == kWidth<Summed<S>>) return store(p, a);
  store_some(p, a, n);
}

}  // namespace JLSTM_ISA
