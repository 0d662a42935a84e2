// Divides a call among threads.
#pragma once
#include <cstdint>
#include <vector>

#include "calls.h"

namespace jlstm {

// Part of a share: rows of the batch and units of one group. `first` and `end` count vectors of
// units.
struct Part {
  int64_t group, row, row_end, first, end;
};

// The shares of a call. Independent shares run over all steps without waiting. Otherwise all shares
// complete a step before any begins the next one.
struct Plan {
  bool independent;
  std::vector<std::vector<Part>> shares;
};

// `width` is the number of units in a vector, `last` the cost of the last vector of units relative
// to a full one.
Plan divide(const Sizes& sizes, int width, int threads, double last);

}  // namespace jlstm
