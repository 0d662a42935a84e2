#define JLSTM_ISA jlstm_portable
#include "kernels.h"

const jlstm::Kernels* jlstm::portable_kernels() {
  return jlstm_portable::kernels_named("portable");
}
