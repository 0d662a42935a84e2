// Applies a function of one vector to whole arrays.
#pragma once
#include "../passes.h"
#include "activations.h"
#include "numbers.h"

namespace JLSTM_ISA {

template <typename In, typename Out, typename Function>
static void over_all(const In* in, Out* out, int64_t count, Function function) {
  constexpr int kStep = kWidth<Summed<In>>;
  for (int64_t n = 0; n < count; n += kStep) {
    const int live = int(jlstm::smaller(kStep, count - n));
    store(out + n, function(load(in + n, live)), live);
  }
}

// Converts sums to stored numbers.
template <typename F>
static void round_all(const typename F::Sum* in, typename F::Stored* out, int64_t count) {
  over_all(in, out, count, [](auto a) { return a; });
}

template <typename S>
static void sigmoid_of_all(const S* in, S* out, int64_t count) {
  over_all(in, out, count, [](auto a) { return sigmoid(a); });
}

template <typename S>
static void tanh_of_all(const S* in, S* out, int64_t count) {
  over_all(in, out, count, [](auto a) { return tanh(a); });
}

}  // namespace JLSTM_ISA
