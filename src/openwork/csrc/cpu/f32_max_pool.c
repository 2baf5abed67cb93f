/* f32_max_pool: the largest of a plane's taps, lane by lane. */
#include "pool2d.h"

void OW_KERNEL(f32_max_pool)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_pool2d *step = argument;
  for (int32_t plane = begin; plane < end; plane++) {
    const float *source = (const float *)ow_pool_source(step, plane);
    float *target = (float *)ow_pool_target(step, plane);
    for (int32_t vector = 0; vector < step->output.vectors; vector++) {
      float best[16];
      memcpy(best, source + step->offsets[0] + 16 * vector, sizeof best);
      for (int32_t tap = 1; tap < step->taps; tap++) {
        const float *x = source + step->offsets[tap] + 16 * vector;
        for (int i = 0; i < 16; i++) best[i] = best[i] >= x[i] || best[i] != best[i] ? best[i] : x[i]; /* NaN wins */
      }
      f32_store(target + 16 * vector, f32_select(step->output.inside[vector], f32_load(best), f32_set(0)));
    }
    ow_fill_lead(&step->output, plane);
  }
}
