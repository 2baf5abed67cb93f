/* f32_fully_connected_sparse: sixteen nonzeros at a time; their inputs are gathered. */
#include "fully_connected.h"

static float output_of(const struct ow_fully_connected *step, const float *x, int32_t o) {
  const struct ow_rows *rows = &step->weights;
  f32x16 products = f32_set(0);
  for (uint32_t k = rows->starts[o]; k < rows->starts[o + 1]; k += 16)
    products = f32_fma(f32_gather(x, rows->offsets + k), f32_load((const float *)rows->values + k), products);
  return ow_clampf(((const float *)step->bias)[o] + f32_sum(products), step->low, step->high);
}

OW_FULLY_CONNECTED_KERNEL(f32_fully_connected_sparse, float)
