/* f32_conv_rows1: sparse convolution, one output channel at a time.
 *
 * For each nonzero weight: broadcast it, load `n` vectors of the input at its offset, multiply and add. Work
 * follows the nonzeros alone. Source: Elsen et al. 2019, Fast Sparse ConvNets, arXiv:1911.09723. */
#include "conv.h"

OW_INLINE void channels(const struct ow_f32_conv *given, const struct part *part, int32_t vector, const int n) {
  const struct ow_f32_conv copy = *given, *step = &copy; /* a copy: stores cannot change it */
  const float *values = step->weights.values;
  const float *input = (const float *)step->input + part->image * step->input_image + 16 * vector;
  const int64_t plane = (int64_t)part->image * step->channels;
  const int32_t depth = step->weights.depth;
  for (int32_t run = 0; run < depth; run++) {
    const uint32_t *starts = step->weights.starts + (int64_t)run * step->channels;
    for (int32_t channel = part->channel; channel < part->channel_end; channel++) {
      const int64_t at = (plane + channel) * step->output.stride + 16 * vector;
      float *partial = (float *)step->output.at + at; /* sums of the runs so far wait in the output */
      f32x16 sum[ROWS1_VECTORS];
      EACH(v, n) sum[v] = run == 0 ? f32_set(step->bias[channel]) : f32_load(partial + 16 * v);
      for (uint32_t k = starts[channel]; k < starts[channel + 1]; k++) {
        const float *x = input + step->weights.offsets[k];
        f32x16 weight = f32_set(values[k]);
        EACH(v, n) sum[v] = f32_fma(weight, f32_load(x + 16 * v), sum[v]);
      }
      if (run < depth - 1) {
        EACH(v, n) f32_store(partial + 16 * v, sum[v]);
      } else {
        EACH(v, n) f32_conv_finish(step, sum[v], at + 16 * v, vector + v);
      }
    }
  }
}

OW_CONV_KERNEL(f32_conv_rows1, struct ow_f32_conv, ROWS1_VECTORS, 1)
