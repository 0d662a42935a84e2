#define JLSTM_ISA jlstm_avx2
#include "kernels.h"

const jlstm::Kernels* jlstm::avx2_kernels() { return jlstm_avx2::kernels_named("avx2"); }
