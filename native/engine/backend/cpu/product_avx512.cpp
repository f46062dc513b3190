// Compiled for AVX-512, and called only where the processor has it.

#include "engine/backend/cpu/product_wide.h"

namespace ziptie::cpu {

void multiply_two_panels_avx512(std::int64_t m, std::int64_t k, const float* a, std::int64_t a_row,
                                std::int64_t a_step, const float* b, std::int64_t b_panel, bool add, float* c,
                                std::int64_t c_row) {
  multiply_two_panels(m, k, a, a_row, a_step, b, b_panel, add, c, c_row);
}

}  // namespace ziptie::cpu
