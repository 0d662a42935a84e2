// Vectors of the instruction set that a file is compiled for: loads, stores and arithmetic.
//
// The compiler's vector extension allows one source for all: AVX-512, AVX2, and any 128-bit set. An
// instruction set with other vectors needs its own kBytes, load_some, store_some, fma and
// keep_in_register. kernels.h says why functions are static.
#pragma once
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "../formats.h"

namespace JLSTM_ISA {

using jlstm::bfloat16;

#if defined(__AVX512F__)
constexpr int kBytes = 64;  // of a vector
#elif defined(__AVX2__)
constexpr int kBytes = 32;
#else
constexpr int kBytes = 16;
#endif

// Vectors of numbers S, which is the type of a format's sums.
template <typename S>
struct Lanes;

template <>
struct Lanes<float> {
  static constexpr int kWidth = kBytes / 4;
  typedef float Vector __attribute__((vector_size(4 * kWidth)));
  typedef float Unaligned __attribute__((vector_size(4 * kWidth), aligned(4), may_alias));
  typedef int32_t Integers __attribute__((vector_size(4 * kWidth)));
};

template <>
struct Lanes<double> {
  static constexpr int kWidth = kBytes < 32 ? 4 : kBytes / 8;  // at least the four gates of a unit
  typedef double Vector __attribute__((vector_size(8 * kWidth)));
  typedef double Unaligned __attribute__((vector_size(8 * kWidth), aligned(8), may_alias));
  typedef int64_t Integers __attribute__((vector_size(8 * kWidth)));
};

template <typename S>
constexpr int kWidth = Lanes<S>::kWidth;  // numbers in a vector
template <typename S>
using Vector = typename Lanes<S>::Vector;
template <typename V>  // the numbers of a vector
using Element = std::remove_reference_t<decltype(std::declval<V&>()[0])>;
template <typename V>  // a vector of their bits
using Integers = typename Lanes<Element<V>>::Integers;

template <typename S>
static inline Vector<S> splat(S a) {
  return a - Vector<S>{};  // subtracting keeps -0
}

template <typename S>
static inline Vector<S> load(const S* p) {
  return *reinterpret_cast<const typename Lanes<S>::Unaligned*>(p);
}

template <typename S>
static inline void store(S* p, Vector<S> a) {
  *reinterpret_cast<typename Lanes<S>::Unaligned*>(p) = a;
}

// load_some loads the first n numbers at p, followed by zeros. store_some stores the first n
// numbers of a. Neither touches memory beyond them.
#if defined(__AVX512F__)
template <typename S>
static inline Vector<S> load_some(const S* p, int n) {
  if constexpr (sizeof(S) == 4) return (Vector<S>)_mm512_maskz_loadu_ps((1u << n) - 1, p);
  if constexpr (sizeof(S) == 8) return (Vector<S>)_mm512_maskz_loadu_pd((1u << n) - 1, p);
}

template <typename S>
static inline void store_some(S* p, Vector<S> a, int n) {
  if constexpr (sizeof(S) == 4) _mm512_mask_storeu_ps(p, (1u << n) - 1, (__m512)a);
  if constexpr (sizeof(S) == 8) _mm512_mask_storeu_pd(p, (1u << n) - 1, (__m512d)a);
}
#elif defined(__AVX2__)
template <typename S>
static inline __m256i mask_of(int n) {
  if constexpr (sizeof(S) == 4)
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  else
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}

template <typename S>
static inline Vector<S> load_some(const S* p, int n) {
  if constexpr (sizeof(S) == 4) return (Vector<S>)_mm256_maskload_ps(p, mask_of<S>(n));
  if constexpr (sizeof(S) == 8) return (Vector<S>)_mm256_maskload_pd(p, mask_of<S>(n));
}

template <typename S>
static inline void store_some(S* p, Vector<S> a, int n) {
  if constexpr (sizeof(S) == 4) _mm256_maskstore_ps(p, mask_of<S>(n), (__m256)a);
  if constexpr (sizeof(S) == 8) _mm256_maskstore_pd(p, mask_of<S>(n), (__m256d)a);
}
#else
template <typename S>
static inline Vector<S> load_some(const S* p, int n) {
  Vector<S> a{};
  std::memcpy(&a, p, n * sizeof(S));
  return a;
}

template <typename S>
static inline void store_some(S* p, Vector<S> a, int n) {
  for (int lane = 0; lane < n; ++lane) p[lane] = a[lane];
}
#endif

// a * b + c, rounded once if the instruction set has such an instruction. Fusion is explicit here:
// a compiler might fuse in one copy of a function and not in another, and results would depend on
// how a call is divided.
template <typename V>
static inline V fma(V a, V b, V c) {
#if defined(__AVX512F__)
  if constexpr (sizeof(Element<V>) == 4)
    return (V)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
  else
    return (V)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__AVX2__)
  if constexpr (sizeof(Element<V>) == 4)
    return (V)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
  else
    return (V)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif defined(__aarch64__)
  if constexpr (sizeof(Element<V>) == 4) {
    return (V)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
  } else {
    V sum;
    for (int half = 0; half < 2; ++half) {
      const float64x2_t x{a[2 * half], a[2 * half + 1]}, y{b[2 * half], b[2 * half + 1]};
      const float64x2_t z = vfmaq_f64(float64x2_t{c[2 * half], c[2 * half + 1]}, x, y);
      sum[2 * half] = z[0];
      sum[2 * half + 1] = z[1];
    }
    return sum;
  }
#else
  return a * b + c;
#endif
}

// Without this, compilers load a vector again for each use, and loads limit the speed.
template <typename V>
__attribute__((always_inline)) static inline void keep_in_register(V& a) {
#if defined(__AVX512F__)
  asm("" : "+v"(a));
#elif defined(__AVX2__)
  asm("" : "+x"(a));
#else
  // A vector of doubles may need two registers here.
  if constexpr (sizeof a == kBytes) {
#if defined(__x86_64__)
    asm("" : "+x"(a));
#elif defined(__aarch64__)
    asm("" : "+w"(a));
#endif
  }
#endif
}

// The same bits in another type.
template <typename V>
static inline Integers<V> bits(V a) {
  Integers<V> i;
  std::memcpy(&i, &a, sizeof a);
  return i;
}

template <typename I>
static inline auto floats(I i) {
  Vector<std::conditional_t<sizeof(Element<I>) == 4, float, double>> a;
  std::memcpy(&a, &i, sizeof i);
  return a;
}

}  // namespace JLSTM_ISA
