// Vectors of the instruction set that a file is compiled for, and functions of vectors.
//
// This is compiled once for each instruction set, in that set's namespace (JLSTM_ISA). The
// compiler's vector extension allows one source for all: AVX-512, AVX2, and any 128-bit set.
// Nothing here may be an inline function that the linker shares between files: all sets could get
// the code of one.
#pragma once
#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace JLSTM_ISA {

#if defined(__AVX512F__)
constexpr int kWidth = 16;  // floats in a vector
constexpr int kRows = 6;    // rows of a tile: 6 x 4 sums leave 8 of 32 registers
#elif defined(__AVX2__)
constexpr int kWidth = 8;
constexpr int kRows = 3;  // 3 x 4 sums leave 4 of 16 registers
#elif defined(__aarch64__)
constexpr int kWidth = 4;
constexpr int kRows = 6;
#else
constexpr int kWidth = 4;
constexpr int kRows = 2;
#endif

typedef float Vector __attribute__((vector_size(4 * kWidth)));
typedef float Unaligned __attribute__((vector_size(4 * kWidth), aligned(4), may_alias));
typedef int32_t Integers __attribute__((vector_size(4 * kWidth)));

static inline Vector splat(float a) { return a - Vector{}; }  // subtracting keeps -0
static inline Vector load(const float* p) { return *reinterpret_cast<const Unaligned*>(p); }
static inline void store(float* p, Vector a) { *reinterpret_cast<Unaligned*>(p) = a; }

#if defined(__AVX512F__)
static inline Vector load_some(const float* p, int n) {
  return (Vector)_mm512_maskz_loadu_ps((1u << n) - 1, p);
}
static inline void store_some(float* p, Vector a, int n) {
  _mm512_mask_storeu_ps(p, (1u << n) - 1, (__m512)a);
}
#elif defined(__AVX2__)
static inline __m256i mask_of(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline Vector load_some(const float* p, int n) {
  return (Vector)_mm256_maskload_ps(p, mask_of(n));
}
static inline void store_some(float* p, Vector a, int n) {
  _mm256_maskstore_ps(p, mask_of(n), (__m256)a);
}
#else
static inline Vector load_some(const float* p, int n) {
  Vector a{};
  for (int lane = 0; lane < n; ++lane) a[lane] = p[lane];
  return a;
}
static inline void store_some(float* p, Vector a, int n) {
  for (int lane = 0; lane < n; ++lane) p[lane] = a[lane];
}
#endif

// The first n floats at p, followed by zeros. Does not read memory beyond them.
static inline Vector load(const float* p, int n) { return n == kWidth ? load(p) : load_some(p, n); }

static inline void store(float* p, Vector a, int n) {
  if (n == kWidth) return store(p, a);
  store_some(p, a, n);
}

// a * b + c, rounded once if the instruction set has such an instruction. Fusion is explicit here:
// a compiler might fuse in one copy of a function and not in another, and results would depend on
// how a call is divided.
static inline Vector fma(Vector a, Vector b, Vector c) {
#if defined(__AVX512F__)
  return (Vector)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__)
  return (Vector)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
  return (Vector)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
  return a * b + c;
#endif
}

// Compilers would load a vector again for each use, and loads would limit the speed.
__attribute__((always_inline)) static inline void keep_in_register(Vector& a) {
#if defined(__AVX512F__)
  asm("" : "+v"(a));
#elif defined(__x86_64__)
  asm("" : "+x"(a));
#elif defined(__aarch64__)
  asm("" : "+w"(a));
#endif
}

static inline Integers bits(Vector a) {
  Integers i;
  std::memcpy(&i, &a, sizeof a);
  return i;
}

static inline Vector floats(Integers i) {
  Vector a;
  std::memcpy(&a, &i, sizeof i);
  return a;
}

// To the nearest bfloat16, ties to even.
static inline Vector rounded(Vector a) {
  const Integers i = bits(a), even = (i >> 16) & 1;
  return a == a ? floats((i + 0x7fff + even) & Integers(Integers{} - 0x10000)) : a;
}

// exp(x) = scale * (1 + rest), |x| <= 88, scale a power of two. Cody and Waite's reduction of x to
// r = x - n log 2, then exp(r) - 1 as a polynomial whose relative error is below 2^-26.
struct Exponential {
  Vector scale, rest;
};

static inline Exponential exponential(Vector x) {
  const Vector magic = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to whole numbers
  Vector shifted = fma(x, splat(1.44269504088896341f), magic);
  Vector n = shifted - magic;
  Vector r = fma(n, splat(2.12194440e-4f), fma(n, splat(-0.693359375f), x));
  Vector p = splat(1.9845459e-4f);
  p = fma(p, r, splat(1.3939863e-3f));
  p = fma(p, r, splat(8.3334519e-3f));
  p = fma(p, r, splat(4.1666457e-2f));
  p = fma(p, r, splat(1.6666666e-1f));
  p = fma(p, r, splat(5.0000000e-1f));
  Integers power = (bits(shifted) - bits(magic) + 127) << 23;
  return {floats(power), fma(p, r * r, r)};
}

// The error of sigmoid and tanh is at most 2.6 units in the last place, and they never decrease as
// x increases: tests/kernels/native/activations.cc checks all floats. Below -87 sigmoid is zero.
// Limits at the infinities are exact, and NaN stays NaN (tests/kernels/test_cpu_library.py).
static inline Vector sigmoid(Vector x) {
  Vector limited = x > 87.0f ? splat(87.0f) : x;
  limited = limited < -87.0f ? splat(-87.0f) : limited;
  Exponential e = exponential(-limited);
  Vector y = 1.0f / fma(e.scale, e.rest, 1.0f + e.scale);
  return x < -87.0f ? Vector{} : y;
}

// -m / (2 + m) with m = exp(-2|x|) - 1, which keeps its relative accuracy near 0.
static inline Vector tanh(Vector x) {
  const Integers sign_bit = Integers{} + INT32_MIN;
  Integers sign = bits(x) & sign_bit;
  Vector a = floats(bits(x) & ~sign_bit);
  a = a > 9.5f ? splat(9.5f) : a;
  Exponential e = exponential(-2.0f * a);
  Vector m = fma(e.scale, e.rest, e.scale - 1.0f);
  return floats(bits(-m / (2.0f + m)) | sign);
}

}  // namespace JLSTM_ISA
