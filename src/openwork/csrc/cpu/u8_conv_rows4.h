/* u8_conv_rows4.h: dense integer convolution, four output channels at a time, so that each load serves four.
 *
 * OW_FINISH requantizes and stores. */
#ifndef OPENWORK_U8_CONV_ROWS4_H
#define OPENWORK_U8_CONV_ROWS4_H

#include "conv.h"

OW_INLINE void channels(const struct ow_u8_conv *given, const struct part *part, int32_t vector, const int n) {
  const struct ow_u8_conv copy = *given, *step = &copy; /* a copy: stores cannot change it */
  const uint32_t *starts = step->weights.starts;
  const int32_t *values = step->weights.values;
  const int32_t groups = (step->channels + 3) / 4;
  const uint32_t *input = (const uint32_t *)step->input + part->image * step->input_image + 16 * vector;
  for (int32_t channel = part->channel; channel < part->channel_end; channel += 4) {
    i32x16 sum[4][ROWS4_VECTORS];
    EACH(r, 4)
      EACH(v, n) sum[r][v] = i32_set(step->bias[channel + r]);
    for (uint32_t k = starts[channel / 4]; k < starts[channel / 4 + 1]; k++) {
      ow_prefetch(values + 4 * (int64_t)k, 1024);
      const uint32_t *at = input + step->weights.offsets[k];
      i32x16 x[ROWS4_VECTORS];
      EACH(v, n) x[v] = i32_load(at + 16 * v);
      EACH(r, 4) {
        dot_weights weights = dot_set(values[4 * (int64_t)k + r]);
        EACH(v, n) sum[r][v] = dot4(sum[r][v], x[v], weights);
      }
    }
    const int64_t at = ((int64_t)part->image * groups + channel / 4) * step->output.stride + 16 * vector;
    EACH(v, n) OW_FINISH(step, sum[0][v], sum[1][v], sum[2][v], sum[3][v], channel, at + 16 * v, vector + v);
  }
}

#endif
