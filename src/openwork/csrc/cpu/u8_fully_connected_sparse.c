/* u8_fully_connected_sparse: sixteen taps of four int8 weights at a time; their inputs are gathered. */
#include "fully_connected.h"

static uint8_t output_of(const struct ow_fully_connected *step, const uint8_t *x, int32_t o) {
  const struct ow_rows *rows = &step->weights;
  i32x16 products = i32_set(0);
  for (uint32_t k = rows->starts[o]; k < rows->starts[o + 1]; k += 16)
    products = dot4(products, i32_gather(x, rows->offsets + k), dot_load((const int32_t *)rows->values + k));
  int32_t sum = ((const int32_t *)step->bias)[o] + i32_sum(products);
  return ow_requantize_sum(sum, o, &step->requantize);
}

OW_FULLY_CONNECTED_KERNEL(u8_fully_connected_sparse, uint8_t)
