/* u8_conv_rows.h: integer convolution.
 *
 * As f32_conv_rows1 and f32_conv_rows4, but each tap holds four int8 weights for four neighbouring input channels,
 * multiplied with four uint8 a lane and added in int32. Four channels are requantized and stored together.
 *
 * OW_ROWS output channels, 1, 2 or 4, share a list of taps, so that each load serves as many. Each list has two parts:
 * first the taps that dot4_small multiplies rightly whatever the bytes, then the others. OW_MOST: the vectors whose
 * accumulators fit the registers. OW_FINISH requantizes and stores. */
#ifndef OPENWORK_U8_CONV_ROWS_H
#define OPENWORK_U8_CONV_ROWS_H

#include "conv.h"

/* Adds the taps `from` .. `to` - 1. */
OW_INLINE void add_taps(const struct ow_rows *weights, const uint32_t *input, uint32_t from, uint32_t to, const int small,
                        const int n, i32x16 sum[OW_ROWS][OW_MOST]) {
  for (uint32_t k = from; k < to; k++) {
    const int32_t *four = (const int32_t *)weights->values + OW_ROWS * (int64_t)k;
    if (OW_ROWS == 4) ow_prefetch(four, 1024);
    const uint32_t *at = input + weights->offsets[k];
    i32x16 x[OW_MOST];
    EACH(v, n) x[v] = i32_load(at + 16 * v);
    EACH(r, OW_ROWS) {
      const dot_weights wide = dot_set(four[r]);
      EACH(v, n) sum[r][v] = small ? dot4_small(sum[r][v], x[v], four[r]) : dot4(sum[r][v], x[v], wide);
    }
  }
}

OW_INLINE void channels(const struct ow_u8_conv *given, const struct part *part, int32_t vector, const int n) {
  const struct ow_u8_conv copy = *given, *step = &copy; /* a copy: stores cannot change it */
  const struct ow_rows *weights = &step->weights;
  const int32_t groups = (step->channels + 3) / 4;
  const uint32_t *input = (const uint32_t *)step->input + part->image * step->input_image + 16 * vector;
  for (int32_t four = part->channel; four < part->channel_end; four += 4) {
    i32x16 sums[4][OW_MOST]; /* in memory where they come row by row: all of them would not fit the registers */
    for (int32_t row = 0; row < 4; row += OW_ROWS) {
      const int32_t channel = four + row;
      const uint32_t *parts = weights->starts + 2 * (channel / OW_ROWS);
      i32x16 sum[OW_ROWS][OW_MOST];
      EACH(r, OW_ROWS)
        EACH(v, n) sum[r][v] = i32_set(step->bias[channel + r]);
      const uint32_t wide = DOT4_WIDENS ? parts[1] : parts[0];
      if (DOT4_WIDENS) add_taps(weights, input, parts[0], wide, 1, n, sum);
      add_taps(weights, input, wide, parts[2], 0, n, sum);
      EACH(r, OW_ROWS)
        EACH(v, n) sums[row + r][v] = sum[r][v];
    }
    const int64_t at = ((int64_t)part->image * groups + four / 4) * step->output.stride + 16 * vector;
    EACH(v, n) OW_FINISH(step, sums[0][v], sums[1][v], sums[2][v], sums[3][v], four, at + 16 * v, vector + v);
  }
}

#endif
