/* u8_mean_planar: the mean of each channel's pixels, requantized, to a plain vector. */
#include "requantize.h"
#include "vector.h"

void OW_KERNEL(u8_mean_planar)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_mean *step = argument;
  const int32_t groups = step->input.planes / step->images;
  const int32_t zero = 16 * step->input.vectors * (int32_t)step->input_zero_point; /* in padding lanes too */
  for (int32_t plane = begin; plane < end; plane++) {
    const uint8_t *x = (const uint8_t *)step->input.at + 4 * (int64_t)plane * step->input.stride;
    int32_t sum[64] = {0};
    for (int32_t vector = 0; vector < step->input.vectors; vector++)
      for (int i = 0; i < 64; i++) sum[i] += x[64 * vector + i];
    uint8_t *y = (uint8_t *)step->output + (int64_t)(plane / groups) * step->channels;
    for (int32_t c = plane % groups * 4, byte = 0; byte < 4 && c < step->channels; c++, byte++) {
      int32_t total = -zero;
      for (int i = byte; i < 64; i += 4) total += sum[i];
      y[c] = ow_requantize_mean(total, step->count, &step->requantize);
    }
  }
}
