// Products of a few rows with a panel of packed weights, with sums in registers.
#pragma once
#include "packing.h"

namespace JLSTM_ISA {

constexpr int kTogether = 96;  // rows processed together
constexpr int kAhead = 8;      // words of a row by which weights are prefetched

template <typename F, int R, int L>
struct Sums {
  Vector<typename F::Sum> of[R][L];
};

// A product may use idle memory bandwidth: for each word of its rows it calls one of three
// functions. This one does nothing.
struct Nothing {
  void operator()(int64_t) const {}
};

// Prefetches N cache lines of the next panel, for which its first tile would otherwise wait.
template <typename Word, int N>
struct Fetch {
  const Word* next;

  __attribute__((always_inline)) void operator()(int64_t k) const {
    constexpr int kLine = 64 / sizeof(Word);
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) __builtin_prefetch(next + (k * N + n) * kLine, 0, 2);
  }
};

// Packs N vectors of words.
template <typename F, int N>
struct Pack {
  Unpacked<F> weights;

  __attribute__((always_inline)) void operator()(int64_t k) const {
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) weights.pack(k * N + n);
  }
};

// sums[r][l] += sum over k < size of rows[r][from + k] * panel[k][l], where k counts numbers. Every
// sum is computed in the order of k. Results therefore do not depend on R, on L, or on which thread
// computes them.
template <typename F, int R, int L, typename Meanwhile>
__attribute__((always_inline)) static inline void accumulate(Sums<F, R, L>& sums,
                                                             const typename F::Stored* const* rows,
                                                             int64_t from, int64_t size,
                                                             const typename F::Sum* panel,
                                                             Meanwhile meanwhile) {
  constexpr int kStep = L * kWidth<typename F::Sum>;
  const typename F::Stored* row[R];
  for (int r = 0; r < R; ++r) row[r] = rows[r] + from;
  auto step = [&](int64_t k, auto word_of) __attribute__((always_inline)) {
    Right<F> w[L];
#pragma GCC unroll 8
    for (int l = 0; l < L; ++l) __builtin_prefetch(panel + (k + kAhead) * kStep + l * (kStep / L));
    meanwhile(k);
#pragma GCC unroll 8
    for (int l = 0; l < L; ++l) {
      w[l] = right<F>(panel + k * kStep + l * (kStep / L));
      if (R < 4) keep_in_registers(w[l]);
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Left<F> a = word_of(row[r], k);
#pragma GCC unroll 8
      for (int l = 0; l < L; ++l) sums.of[r][l] = multiply_add(a, w[l], sums.of[r][l]);
    }
  };
  for (int64_t k = 0; k < size / kTerms<F>; ++k) step(k, left<F>);
  if constexpr (kTerms<F> > 1)
    if (size % kTerms<F>) step(size / kTerms<F>, left_half<F>);
}

// One row with two panels at once: enough sums to hide the latency of an addition. There is no
// explicit prefetch here: the processor recognises this access pattern and is faster by itself.
template <typename F, int L>
__attribute__((always_inline)) static inline void accumulate_two(
    Sums<F, 1, L>& first, Sums<F, 1, L>& second, const typename F::Stored* row, int64_t size,
    const typename F::Sum* panel, const typename F::Sum* next_panel) {
  constexpr int kStep = L * kWidth<typename F::Sum>;
  auto step = [&](int64_t k, auto word_of) __attribute__((always_inline)) {
    const Left<F> a = word_of(row, k);
#pragma GCC unroll 8
    for (int l = 0; l < L; ++l) {
      const int64_t at = k * kStep + l * (kStep / L);
      first.of[0][l] = multiply_add(a, right<F>(panel + at), first.of[0][l]);
      second.of[0][l] = multiply_add(a, right<F>(next_panel + at), second.of[0][l]);
    }
  };
  for (int64_t k = 0; k < size / kTerms<F>; ++k) step(k, left<F>);
  if constexpr (kTerms<F> > 1)
    if (size % kTerms<F>) step(size / kTerms<F>, left_half<F>);
}

// Divides `count` rows into tiles of nearly equal size, and calls
// body.template operator()<R>(first, tile, tiles) for each tile of R rows.
template <typename F, typename Body>
__attribute__((always_inline)) static inline void in_tiles(int count, Body body) {
  const int tiles = (count + kRows<F> - 1) / kRows<F>;
  for (int tile = 0, first = 0; tile < tiles; ++tile) {
    const int rows = count / tiles + (tile < count % tiles);
    switch (rows) {
      case 1:
        body.template operator()<1>(first, tile, tiles);
        break;
      case 2:
        if constexpr (kRows<F> >= 2) body.template operator()<2>(first, tile, tiles);
        break;
      case 3:
        if constexpr (kRows<F> >= 3) body.template operator()<3>(first, tile, tiles);
        break;
      case 4:
        if constexpr (kRows<F> >= 4) body.template operator()<4>(first, tile, tiles);
        break;
      case 5:
        if constexpr (kRows<F> >= 5) body.template operator()<5>(first, tile, tiles);
        break;
      case 6:
        if constexpr (kRows<F> >= 6) body.template operator()<6>(first, tile, tiles);
        break;
    }
    first += rows;
  }
}

// The same, but calls body.template operator()<R>(first, meanwhile). Each tile prefetches a part of
// the next panel, which has `size` words.
template <typename F, typename Body>
__attribute__((always_inline)) static inline void in_tiles(int count, const typename F::Sum* next,
                                                           int64_t size, Body body) {
  using Word = typename F::Sum;
  constexpr int kLine = 64 / sizeof(Word);
  constexpr int kLines = kPanel<Word> / kLine;  // of a panel for each k
  in_tiles<F>(count, [&]<int R>(int first, int tile, int tiles) __attribute__((always_inline)) {
    const int fetch = tiles < 2 || !next ? 0 : (kLines + tiles - 1) / tiles;
    const Word* from = next + tile * fetch * size * kLine;
    if (!fetch || tile * fetch >= kLines) {
      body.template operator()<R>(first, Nothing{});
    } else if (fetch == 1) {
      body.template operator()<R>(first, Fetch<Word, 1>{from});
    } else {
      body.template operator()<R>(first, Fetch<Word, 2>{from});
    }
  });
}

// A long panel is processed in blocks of kBlock numbers of a row. Two of them fit the second-level
// cache: the current block and the one that is prefetched.
template <typename F>
constexpr int64_t kBlock = 4096 / sizeof(typename F::Sum) * kTerms<F>;

}  // namespace JLSTM_ISA
