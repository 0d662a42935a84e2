// Checks the shapes of the arguments of a call, before any is read.
#pragma once
#include <algorithm>
#include <string>

#include "xla/ffi/api/ffi.h"

namespace jlstm {

namespace ffi = xla::ffi;

using Flags = ffi::Buffer<ffi::PRED>;
using Shape = std::initializer_list<int64_t>;

// Records the first error found.
struct Shapes {
  std::string wrong;

  template <typename Array>
  bool is(const Array& array, Shape wanted) {
    auto dims = array.dimensions();
    return std::equal(dims.begin(), dims.end(), wanted.begin(), wanted.end());
  }

  template <typename Dimensions>
  static std::string text(const Dimensions& dimensions) {
    std::string list;
    for (int64_t d : dimensions) list += (list.empty() ? "" : ", ") + std::to_string(d);
    return "[" + list + "]";
  }

  template <typename Array>
  void require(const char* name, const Array& array, Shape wanted) {
    if (!wrong.empty() || is(array, wanted)) return;
    wrong =
        std::string(name) + " has shape " + text(array.dimensions()) + ", expected " + text(wanted);
  }

  // A pointer, or null for an operand of shape [0], which stands for an absent one.
  template <typename Array>
  auto* optional(const char* name, const Array& array, Shape wanted) {
    if (is(array, {0})) return decltype(array.typed_data())(nullptr);
    require(name, array, wanted);
    return array.typed_data();
  }

  // Flags of each group, or one array shared by all; null for shape [0].
  const uint8_t* flags(const char* name, const Flags& array, int64_t groups, int64_t steps,
                       int64_t batch, int64_t* next) {
    const bool shared = array.dimensions().size() == 3 && array.dimensions()[0] == 1;
    *next = shared ? 0 : steps * batch;
    return reinterpret_cast<const uint8_t*>(
        optional(name, array, {shared ? 1 : groups, steps, batch}));
  }

  void check(bool holds, const char* message) {
    if (wrong.empty() && !holds) wrong = message;
  }
};

}  // namespace jlstm
