/* f32_conv_rows4: dense convolution, four output channels at a time, so that each load serves four of them. */
#include "conv.h"

OW_INLINE void channels(const struct ow_f32_conv *given, const struct part *part, int32_t vector, const int n) {
  const struct ow_f32_conv copy = *given, *step = &copy; /* a copy: stores cannot change it */
  const uint32_t *starts = step->weights.starts;
  const float *values = step->weights.values;
  const float *input = (const float *)step->input + part->image * step->input_image + 16 * vector;
  const int64_t plane = (int64_t)part->image * step->channels;
  for (int32_t channel = part->channel; channel < part->channel_end; channel += 4) {
    const int rows = part->channel_end - channel < 4 ? part->channel_end - channel : 4;
    f32x16 sum[4][ROWS4_VECTORS];
    EACH(r, 4)
      EACH(v, n) sum[r][v] = f32_set(r < rows ? step->bias[channel + r] : 0);
    for (uint32_t k = starts[channel / 4]; k < starts[channel / 4 + 1]; k++) {
      ow_prefetch(values + 4 * (int64_t)k, 1024);
      const float *at = input + step->weights.offsets[k];
      f32x16 x[ROWS4_VECTORS];
      EACH(v, n) x[v] = f32_load(at + 16 * v);
      EACH(r, 4) {
        f32x16 weight = f32_set(values[4 * (int64_t)k + r]);
        EACH(v, n) sum[r][v] = f32_fma(weight, x[v], sum[r][v]);
      }
    }
    EACH(r, 4) {
      if (r >= rows) continue;
      int64_t at = (plane + channel + r) * step->output.stride + 16 * vector;
      EACH(v, n) f32_conv_finish(step, sum[r][v], at + 16 * v, vector + v);
    }
  }
}

OW_CONV_KERNEL(f32_conv_rows4, struct ow_f32_conv, ROWS4_VECTORS, 1)
