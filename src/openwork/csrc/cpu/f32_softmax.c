/* f32_softmax: along the rows of a matrix. */
#include <math.h>

#include "runtime.h"
#include "vector.h"

void OW_KERNEL(f32_softmax)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_softmax *step = argument;
  for (int32_t row = begin; row < end; row++) {
    const float *x = (const float *)step->input + (int64_t)row * step->count;
    float *y = (float *)step->output + (int64_t)row * step->count;
    float largest = x[0], sum = 0;
    for (int32_t i = 1; i < step->count; i++) largest = x[i] > largest ? x[i] : largest;
    for (int32_t i = 0; i < step->count; i++) sum += y[i] = expf(x[i] - largest);
    for (int32_t i = 0; i < step->count; i++) y[i] /= sum;
  }
}
