#include "engine/backend/backend.h"

#include <stdexcept>

namespace ziptie {

std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::f64:
    case DType::u64:
      return 8;
    case DType::f32:
    case DType::u32:
      return 4;
    case DType::bf16:
    case DType::f16:
      return 2;
    case DType::u8:
      return 1;
  }
  throw std::invalid_argument("not a DType");
}

std::int64_t Tensor::elements() const {
  if (rank == 0) return 0;  // absent, which a quantised weight, without data but with a shape, is not
  std::int64_t product = 1;
  for (int axis = 0; axis < rank; ++axis) product *= shape[axis];
  return product;
}

}  // namespace ziptie
