// Applies a function of one vector to whole arrays.
#pragma once
#include "../recurrence.h"
#include "vector.h"

namespace JLSTM_ISA {

template <Vector (*function)(Vector)>
static void over_all(const float* in, float* out, int64_t count) {
  for (int64_t n = 0; n < count; n += kWidth) {
    const int live = int(jlstm::smaller(kWidth, count - n));
    store(out + n, function(load(in + n, live)), live);
  }
}

}  // namespace JLSTM_ISA
