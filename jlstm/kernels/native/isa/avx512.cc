#define JLSTM_ISA jlstm_avx512
#include "kernels.h"

const jlstm::Kernels* jlstm::avx512_kernels() { return jlstm_avx512::kernels_named("avx512"); }
