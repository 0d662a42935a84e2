// Packs weights into panels, which products read sequentially.
//
// A panel holds kLanes vectors for each k. In the forward pass they are the four gates of kWidth
// units; in the backward pass they are the weights of 4 * kWidth units. The last panel of the
// forward pass may have fewer lanes, each with all gates of kQuarter units.
#pragma once
#include "transpose.h"

namespace JLSTM_ISA {

constexpr int kLanes = 4;
constexpr int kPanel = kLanes * kWidth;  // floats in a panel for each k
constexpr int kQuarter = kWidth / 4;

// Number of lanes of a panel of gates.
static inline int lanes_of(int64_t units, int64_t panel) {
  return int(smaller(kLanes, (units - panel * kWidth + kQuarter - 1) / kQuarter));
}

// The four gates of a panel's units, from its lanes.
template <int L>
__attribute__((always_inline)) static inline void spread_gates(const Vector (&lanes)[L],
                                                               Vector (&gates)[4]) {
#pragma GCC unroll 4
  for (int l = 0; l < 4; ++l) gates[l] = l < L ? lanes[l] : Vector{};
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
static inline void pack_vectors(const float* w, int64_t size, int64_t units, int64_t first,
                                int64_t end, float* panels) {
  constexpr int64_t kAtOnce = 4, kRowsAhead = 8;
  for (int64_t from = first; from < end; from += kAtOnce) {
    const int64_t to = smaller(from + kAtOnce, end);
    for (int64_t k = 0; k < size; ++k)
      for (int gate = 0; gate < 4; ++gate) {
        const float* row = w + (k * 4 + gate) * units;
        for (int64_t vector = from; vector < to; ++vector) {
          const int64_t unit = vector * kWidth;
          __builtin_prefetch(row + kRowsAhead * 4 * units + unit);
          store(panels + (vector - first) * size * kPanel + k * kPanel + gate * kWidth,
                load(row + unit, int(smaller(kWidth, units - unit))));
        }
      }
  }
}

// Packs the gates of the last units, from `unit` on, into a panel of `lanes` lanes.
static inline void pack_narrow(const float* w, int64_t size, int64_t units, int64_t unit, int lanes,
                               float* panel) {
  for (int64_t k = 0; k < size; ++k)
    for (int gate = 0; gate < 4; ++gate)
      for (int l = 0; l < lanes; ++l)
        for (int n = 0; n < kQuarter; ++n) {
          const int64_t from = unit + l * kQuarter + n;
          panel[(k * lanes + l) * kWidth + gate * kQuarter + n] =
              from < units ? w[(k * 4 + gate) * units + from] : 0.0f;
        }
}

// Packs panels [first, end) of the gates of w [size, 4H].
static inline void pack_gates(const float* w, int64_t size, int64_t units, int64_t first,
                              int64_t end, float* panels) {
  const int64_t last = end - 1;
  const bool narrow = first < end && lanes_of(units, last) < kLanes;
  pack_vectors(w, size, units, first, narrow ? last : end, panels);
  if (narrow)
    pack_narrow(w, size, units, last * kWidth, lanes_of(units, last),
                panels + (last - first) * size * kPanel);
}

// Vectors of one panel of gates that are not packed yet.
struct Unpacked {
  const float* from = nullptr;
  int64_t stride = 0;
  float* to = nullptr;
  int64_t count = 0;

  // Moves that many vectors to `taken`, or returns false if fewer are left.
  bool take(int64_t vectors, Unpacked& taken) {
    if (count < vectors) return false;
    taken = {from, stride, to, vectors};
    *this = {from + vectors * stride, stride, to + vectors * kWidth, count - vectors};
    return true;
  }
};

// The unpacked vectors of a panel of w [size, 4H]. A panel that is not full is packed at once.
static inline Unpacked begin_packing(const float* w, int64_t size, int64_t units, int64_t panel,
                                     float* packed) {
  if ((panel + 1) * kWidth <= units) return {w + panel * kWidth, units, packed, 4 * size};
  pack_gates(w, size, units, panel, panel + 1, packed);
  return {};
}

}  // namespace JLSTM_ISA
