// bfloat16 in memory, and as floats in registers.
#pragma once
#include "vector.h"

namespace JLSTM_ISA {

typedef uint16_t Halves __attribute__((vector_size(2 * kWidth<float>)));
typedef uint16_t UnalignedHalves
    __attribute__((vector_size(2 * kWidth<float>), aligned(2), may_alias));
typedef uint32_t Unsigned __attribute__((vector_size(kBytes)));

// The nearest bfloat16 numbers, ties to even, as floats. NaN stays NaN: one bit is set in the half
// that remains.
static inline Vector<float> rounded(Vector<float> a) {
  const Integers<Vector<float>> i = bits(a), even = (i >> 16) & 1;
  const Integers<Vector<float>> upper = Integers<Vector<float>>{} - 0x10000;  // 0xffff0000
  return a == a ? floats((i + 0x7fff + even) & upper) : floats((i | 0x400000) & upper);
}

// The numbers of a vector in another type. GCC 12 has no conversion between vectors of 8 and 16
// bytes.
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

}  // namespace JLSTM_ISA
