/* u8_average_pool: exact sums of each byte's taps, divided by how many of them count, requantized. */
#include "pool2d.h"

void OW_KERNEL(u8_average_pool)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_pool2d *step = argument;
  const i32x16 padding = i32_set((int32_t)step->output.padding);
  const int32_t zero = step->taps * (int32_t)step->input_zero_point; /* padding holds the zero point too */
  for (int32_t plane = begin; plane < end; plane++) {
    const uint32_t *source = ow_pool_source(step, plane);
    uint32_t *target = ow_pool_target(step, plane);
    for (int32_t vector = 0; vector < step->output.vectors; vector++) {
      int32_t sum[64] = {0};
      uint8_t mean[64];
      for (int32_t tap = 0; tap < step->taps; tap++) {
        const uint8_t *x = (const uint8_t *)(source + step->offsets[tap] + 16 * vector);
        for (int i = 0; i < 64; i++) sum[i] += x[i];
      }
      const float *count = step->count + 16 * vector;
      if (step->requantize.rounding == OW_FLOAT32)
        for (int i = 0; i < 64; i++)
          mean[i] = ow_requantize((float)(sum[i] - zero) / count[i / 4], step->requantize.scale[0], &step->requantize);
      else
        for (int i = 0; i < 64; i++)
          mean[i] = ow_requantize_mean(sum[i] - zero, (int32_t)count[i / 4], &step->requantize);
      i32_store(target + 16 * vector, i32_select(step->output.inside[vector], i32_load(mean), padding));
    }
    ow_fill_lead(&step->output, plane);
  }
}
