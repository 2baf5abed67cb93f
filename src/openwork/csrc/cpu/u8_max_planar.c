/* u8_max_planar: the largest of each channel's pixels (global max pooling), to a plain vector. */
#include "runtime.h"
#include "vector.h"

void OW_KERNEL(u8_max_planar)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_mean *step = argument;
  const int32_t groups = step->input.planes / step->images;
  for (int32_t plane = begin; plane < end; plane++) {
    const uint32_t *x = (const uint32_t *)step->input.at + (int64_t)plane * step->input.stride;
    uint8_t best[64] = {0};
    for (int32_t vector = 0; vector < step->input.vectors; vector++) {
      uint8_t bytes[64];
      i32_store(bytes, i32_select(step->input.inside[vector], i32_load(x + 16 * vector), i32_set(0)));
      for (int i = 0; i < 64; i++) best[i] = bytes[i] > best[i] ? bytes[i] : best[i];
    }
    uint8_t *y = (uint8_t *)step->output + (int64_t)(plane / groups) * step->channels;
    for (int32_t c = plane % groups * 4, byte = 0; byte < 4 && c < step->channels; c++, byte++) {
      uint8_t largest = 0;
      for (int i = byte; i < 64; i += 4) largest = best[i] > largest ? best[i] : largest;
      y[c] = largest;
    }
  }
}
