/* u8_sum: the sum of each row of a matrix, requantized. */
#include "requantize.h"
#include "vector.h"

void OW_KERNEL(u8_sum)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_mean *step = argument;
  for (int32_t row = begin; row < end; row++) {
    const uint8_t *x = (const uint8_t *)step->plain + (int64_t)row * step->count;
    int32_t sum = -step->count * (int32_t)step->input_zero_point;
    for (int32_t i = 0; i < step->count; i++) sum += x[i];
    ((uint8_t *)step->output)[row] = ow_requantize_sum(sum, 0, &step->requantize);
  }
}
