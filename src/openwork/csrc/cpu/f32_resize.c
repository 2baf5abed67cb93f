/* f32_resize: weighted sums of a few rows, or of a few elements of a row. */
#include "runtime.h"
#include "vector.h"

void OW_KERNEL(f32_resize)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_resize *step = argument;
  const int64_t rows = step->outer * step->size, inner = step->inner;
  for (int64_t row = rows * begin / step->items, stop = rows * end / step->items; row < stop; row++) {
    const int64_t i = row % step->size;
    const float *x = (const float *)step->input + row / step->size * step->given * inner;
    const int32_t *place = step->places + i * step->taps;
    const float *weight = step->weights + i * step->taps;
    float *y = (float *)step->output + row * inner;
    for (int64_t k = 0; k < inner; k++) y[k] = weight[0] * x[place[0] * inner + k];
    for (int32_t tap = 1; tap < step->taps; tap++)
      for (int64_t k = 0; k < inner; k++) y[k] += weight[tap] * x[place[tap] * inner + k];
  }
}
