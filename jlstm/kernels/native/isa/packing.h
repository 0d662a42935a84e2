// Packs weights into panels, which products read sequentially.
//
// A panel holds kLanes vectors of words for each step over k. In the forward pass they are the four
// gates of kWidth units; in the backward pass they are the weights of 4 * kWidth units. The last
// panel of the forward pass may have fewer lanes, each with all gates of kQuarter units.
#pragma once
#include "transpose.h"
#include "words.h"

namespace JLSTM_ISA {

constexpr int kLanes = 4;
template <typename Word>
constexpr int kPanel = kLanes * kWidth<Word>;  // words in a panel for each k
template <typename Word>
constexpr int kQuarter = kWidth<Word> / 4;

// Number of lanes of a panel of gates.
template <typename Word>
static inline int lanes_of(int64_t units, int64_t panel) {
  constexpr int quarter = kQuarter<Word>;
  return int(smaller(kLanes, (units - panel * kWidth<Word> + quarter - 1) / quarter));
}

// The four gates of a panel's units, from its lanes.
template <int L, typename V>
__attribute__((always_inline)) static inline void spread_gates(const V (&lanes)[L], V (&gates)[4]) {
#pragma GCC unroll 4
  for (int l = 0; l < 4; ++l) gates[l] = l < L ? lanes[l] : V{};
  if constexpr (L < kLanes) transpose(gates);
}

// Calls body.template operator()<L>() for the lanes of a panel.
template <typename Body>
__attribute__((always_inline)) static inline void with_lanes(int lanes, Body body) {
  switch (lanes) {
    case 1:
      return body.template operator()<1>();
    case 2:
      return body.template operator()<2>();
    case 3:
      return body.template operator()<3>();
    case 4:
      return body.template operator()<4>();
  }
}

// Packs the gates of vectors [first, end) of units of w [size, 4H], one panel of kLanes lanes for
// each, with zeros past the last unit. It packs several panels at once, because they read
// neighbouring cache lines of each row.
template <typename F>
static void pack_vectors(const typename F::Stored* w, int64_t size, int64_t units, int64_t first,
                         int64_t end, typename F::Sum* panels) {
  using Word = typename F::Sum;
  constexpr int64_t kAtOnce = 4, kRowsAhead = 8;
  for (int64_t from = first; from < end; from += kAtOnce) {
    const int64_t to = smaller(from + kAtOnce, end);
    for (int64_t k = 0; k < words<F>(size); ++k)
      for (int gate = 0; gate < 4; ++gate) {
        const auto* row = w + (k * kTerms<F> * 4 + gate) * units;
        for (int64_t vector = from; vector < to; ++vector) {
          const int64_t unit = vector * kWidth<Word>;
          __builtin_prefetch(row + kRowsAhead * 4 * units + unit);
          store(
              panels + ((vector - first) * words<F>(size) + k) * kPanel<Word> + gate * kWidth<Word>,
              words_of_rows<F>(row + unit, 4 * units, size - k * kTerms<F>,
                               int(smaller(kWidth<Word>, units - unit))));
        }
      }
  }
}

// Packs the gates of the last units, from `unit` on, into a panel of `lanes` lanes.
template <typename F>
static void pack_narrow(const typename F::Stored* w, int64_t size, int64_t units, int64_t unit,
                        int lanes, typename F::Sum* panel) {
  using Word = typename F::Sum;
  constexpr int quarter = kQuarter<Word>;
  for (int64_t k = 0; k < words<F>(size); ++k)
    for (int gate = 0; gate < 4; ++gate) {
      const auto* row = w + (k * kTerms<F> * 4 + gate) * units + unit;
      for (int l = 0; l < lanes; ++l) {
        const int64_t live = smaller(quarter, units - unit - l * quarter);
        const Vector<Word> word =
            words_of_rows<F>(row + l * quarter, 4 * units, size - k * kTerms<F>, int(live));
        store_some(panel + (k * lanes + l) * kWidth<Word> + gate * quarter, word, quarter);
      }
    }
}

// Packs panels [first, end) of the gates of w [size, 4H].
template <typename F>
static void pack_gates(const typename F::Stored* w, int64_t size, int64_t units, int64_t first,
                       int64_t end, typename F::Sum* panels) {
  using Word = typename F::Sum;
  const int64_t last = end - 1;
  const bool narrow = first < end && lanes_of<Word>(units, last) < kLanes;
  pack_vectors<F>(w, size, units, first, narrow ? last : end, panels);
  if (narrow)
    pack_narrow<F>(w, size, units, last * kWidth<Word>, lanes_of<Word>(units, last),
                   panels + (last - first) * words<F>(size) * kPanel<Word>);
}

// Those vectors of words of one full panel of gates of w [size, 4H] that are not packed yet.
template <typename F>
struct Unpacked {
  using Word = typename F::Sum;
  static constexpr int64_t kEarly = 12;  // rows by which the weights are prefetched

  const typename F::Stored* w = nullptr;  // at the panel's first unit
  int64_t size = 0, units = 0;
  Word* to = nullptr;
  int64_t next = 0, end = 0;  // vectors

  int64_t count() const { return end - next; }

  // Moves that many vectors to `taken`, or returns false if fewer are left.
  bool take(int64_t vectors, Unpacked& taken) {
    if (count() < vectors) return false;
    taken = {w, size, units, to, next, next + vectors};
    next += vectors;
    return true;
  }

  // Packs the n-th of the remaining vectors.
  __attribute__((always_inline)) void pack(int64_t n) const {
    const int64_t vector = next + n, row = vector / kLanes * kTerms<F>;
    const auto* from = w + (row * kLanes + vector % kLanes) * units;
    __builtin_prefetch(from + kEarly * kLanes * units, 0, 2);
    if (kTerms<F> > 1) __builtin_prefetch(from + (kEarly + 1) * kLanes * units, 0, 2);
    store(to + vector * kWidth<Word>,
          words_of_rows<F>(from, kLanes * units, size - row, kWidth<Word>));
  }
};

// The unpacked vectors of a panel of w [size, 4H]. A panel that is not full is packed at once.
template <typename F>
static Unpacked<F> begin_packing(const typename F::Stored* w, int64_t size, int64_t units,
                                 int64_t panel, typename F::Sum* packed) {
  constexpr int kUnits = kWidth<typename F::Sum>;
  if ((panel + 1) * kUnits <= units)
    return {w + panel * kUnits, size, units, packed, 0, kLanes * words<F>(size)};
  pack_gates<F>(w, size, units, panel, panel + 1, packed);
  return {};
}

}  // namespace JLSTM_ISA
