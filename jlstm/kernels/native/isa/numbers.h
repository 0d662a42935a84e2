// Stored numbers of every format, loaded as sums and stored from sums.
#pragma once
#include "bfloat16.h"

namespace JLSTM_ISA {

// A stored number as a sum.
static inline float number(bfloat16 a) {
  const uint32_t i = uint32_t(a) << 16;
  float f;
  std::memcpy(&f, &i, sizeof f);
  return f;
}

static inline float number(float a) { return a; }
static inline double number(double a) { return a; }

template <typename S>  // the type of sums of stored numbers S
using Summed = decltype(number(S{}));

// load_some and store_some, which are slower, are used only if n is less than kWidth.
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
