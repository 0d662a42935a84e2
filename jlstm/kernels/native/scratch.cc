#include "scratch.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <mutex>
#include <new>
#include <vector>

namespace jlstm {
namespace {

constexpr size_t kPage = size_t{2} << 20;  // size of a huge page

struct Block {
  char* start;
  size_t bytes;
};

struct Kept {
  std::mutex mutex;
  std::vector<Block> blocks;
  size_t bytes = 0;
};

Kept& kept() {
  static Kept* kept = new Kept;  // never freed, as threads may still use it after main ends
  return *kept;
}

}  // namespace

void expect_writes(void* start, size_t bytes) {
#if defined(MADV_HUGEPAGE)
  if (bytes < kPage) return;
  // Includes pages that the array shares with neighbours, which are mostly arrays of this call.
  const uintptr_t from = reinterpret_cast<uintptr_t>(start) / kPage * kPage;
  const uintptr_t to = (reinterpret_cast<uintptr_t>(start) + bytes + kPage - 1) / kPage * kPage;
  madvise(reinterpret_cast<void*>(from), to - from, MADV_HUGEPAGE);
#endif
}

Scratch::Scratch(size_t bytes) : bytes_((bytes + kPage - 1) / kPage * kPage) {
  if (bytes_ == 0) bytes_ = kPage;
  {
    std::lock_guard<std::mutex> lock(kept().mutex);
    auto& blocks = kept().blocks;
    for (size_t n = 0; n < blocks.size(); ++n) {
      if (blocks[n].bytes < bytes_ || blocks[n].bytes > 2 * bytes_ + 4 * kPage) continue;
      block_ = blocks[n].start;
      bytes_ = blocks[n].bytes;
      kept().bytes -= bytes_;
      blocks.erase(blocks.begin() + n);
      return;
    }
  }
  void* start = nullptr;
  if (posix_memalign(&start, kPage, bytes_) != 0) throw std::bad_alloc();
  expect_writes(start, bytes_);
  block_ = static_cast<char*>(start);
}

Scratch::~Scratch() {
  if (bytes_ > kKept) {
    free(block_);
    return;
  }
  std::vector<Block> surplus;
  {
    std::lock_guard<std::mutex> lock(kept().mutex);
    auto& blocks = kept().blocks;
    blocks.push_back({block_, bytes_});
    kept().bytes += bytes_;
    while (kept().bytes > kKept) {  // the oldest first
      surplus.push_back(blocks.front());
      kept().bytes -= blocks.front().bytes;
      blocks.erase(blocks.begin());
    }
  }
  for (const Block& block : surplus) free(block.start);
}

void* Scratch::take_bytes(size_t bytes) {
  char* start = block_ + used_;
  used_ += bytes;
  assert(used_ <= bytes_ && "more was taken than asked for");
  return start;
}

}  // namespace jlstm
