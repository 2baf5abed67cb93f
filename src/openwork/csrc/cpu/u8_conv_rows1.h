/* u8_conv_rows1.h: sparse integer convolution, one output channel at a time.
 *
 * As f32_conv_rows1, but each tap holds four int8 weights for four neighbouring input channels, multiplied with
 * four uint8 a lane and added in int32. Four channels are requantized and stored together.
 * OW_FINISH requantizes and stores. */
#ifndef OPENWORK_U8_CONV_ROWS1_H
#define OPENWORK_U8_CONV_ROWS1_H

#include "conv.h"

OW_INLINE void channels(const struct ow_u8_conv *given, const struct part *part, int32_t vector, const int n) {
  const struct ow_u8_conv copy = *given, *step = &copy; /* a copy: stores cannot change it */
  const uint32_t *starts = step->weights.starts;
  const int32_t *values = step->weights.values;
  const int32_t groups = (step->channels + 3) / 4;
  const uint32_t *input = (const uint32_t *)step->input + part->image * step->input_image + 16 * vector;
  for (int32_t channel = part->channel; channel < part->channel_end; channel += 4) {
    const int64_t at = ((int64_t)part->image * groups + channel / 4) * step->output.stride + 16 * vector;
    i32x16 sums[4][ROWS1_VECTORS]; /* in memory: four rows would not fit the registers */
    for (int r = 0; r < 4; r++) {
      i32x16 sum[ROWS1_VECTORS];
      EACH(v, n) sum[v] = i32_set(step->bias[channel + r]);
      for (uint32_t k = starts[channel + r]; k < starts[channel + r + 1]; k++) {
        const uint32_t *x = input + step->weights.offsets[k];
        dot_weights weights = dot_set(values[k]);
        EACH(v, n) sum[v] = dot4(sum[v], i32_load(x + 16 * v), weights);
      }
      EACH(v, n) sums[r][v] = sum[v];
    }
    EACH(v, n) {
      OW_FINISH(step, sums[0][v], sums[1][v], sums[2][v], sums[3][v], channel, at + 16 * v, vector + v);
    }
  }
}

#endif
