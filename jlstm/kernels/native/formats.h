// The number formats of the kernels.
//
// A format says how numbers are stored and how they are summed:
//
//   Stored  inputs, weights, hidden states, and the gradients of all of these but the weights
//   Sum     sums of products, gates, cell states, and the carry
//
// All kernels are templates over a format. Only bfloat16 stores numbers narrower than it sums them.
// Packed weights consist of words, which have the size of a Sum. An instruction set chooses how
// many stored numbers a word holds, its terms: two if it multiplies pairs of bfloat16 numbers, or
// is faster with half the memory; otherwise one.
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

// Whether stored numbers are rounded sums.
template <typename F>
constexpr bool kRounds = !std::is_same_v<typename F::Stored, typename F::Sum>;

// Functions in headers that files for several instruction sets include must always be inlined: the
// linker would otherwise keep one instruction set's copy for all.
#define JLSTM_INLINE __attribute__((always_inline)) inline

// Words of so many terms that hold `size` numbers.
JLSTM_INLINE int64_t words(int64_t size, int terms) { return (size + terms - 1) / terms; }

}  // namespace jlstm
