/* u8_max_pool: the largest of a plane's taps, byte by byte. */
#include "pool2d.h"

void OW_KERNEL(u8_max_pool)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_pool2d *step = argument;
  const i32x16 padding = i32_set((int32_t)step->output.padding);
  for (int32_t plane = begin; plane < end; plane++) {
    const uint32_t *source = ow_pool_source(step, plane);
    uint32_t *target = ow_pool_target(step, plane);
    for (int32_t vector = 0; vector < step->output.vectors; vector++) {
      uint8_t best[64];
      memcpy(best, source + step->offsets[0] + 16 * vector, sizeof best);
      for (int32_t tap = 1; tap < step->taps; tap++) {
        const uint8_t *x = (const uint8_t *)(source + step->offsets[tap] + 16 * vector);
        for (int i = 0; i < 64; i++) best[i] = x[i] > best[i] ? x[i] : best[i];
      }
      i32_store(target + 16 * vector, i32_select(step->output.inside[vector], i32_load(best), padding));
    }
    ow_fill_lead(&step->output, plane);
  }
}
