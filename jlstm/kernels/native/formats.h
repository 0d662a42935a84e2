// The number formats of the kernels.
//
// All kernels are templates over a format, which has two types:
//
//   Stored  factors of products: inputs, weights, hidden states, and the gradient of the
//           pre-activations; also the gradients of inputs and of outputs
//   Sum     all other numbers: sums of products, biases, gates, cell states and the carry, and the
//           gradients of these and of the weights
//
// Stored is narrower than Sum in bfloat16 only. The hidden state of the carry is a Sum. It is
// rounded to Stored where a product reads it.
//
// Packed weights consist of words. A word has the size of a Sum. It holds one or two stored
// numbers, its terms. Each instruction set chooses how many (kTerms in isa/words.h).
#pragma once
#include <cstdint>
#include <type_traits>

namespace jlstm {

enum class bfloat16 : uint16_t {};  // the upper half of a float's bits

struct Float32 {
  using Stored = float;
  using Sum = float;
};

struct Float64 {
  using Stored = double;
  using Sum = double;
};

struct BFloat16 {
  using Stored = bfloat16;
  using Sum = float;
};

// Whether a sum is rounded when it is stored.
template <typename F>
constexpr bool kRounds = !std::is_same_v<typename F::Stored, typename F::Sum>;

// Functions in headers that files for several instruction sets include must always be inlined: the
// linker would otherwise keep one instruction set's copy for all.
#define JLSTM_INLINE __attribute__((always_inline)) inline

// The number of words, of `terms` numbers each, that hold `size` numbers.
JLSTM_INLINE int64_t words(int64_t size, int terms) { return (size + terms - 1) / terms; }

}  // namespace jlstm
