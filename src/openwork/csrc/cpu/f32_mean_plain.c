/* f32_mean_plain: the mean of each row of a matrix. */
#include "runtime.h"
#include "vector.h"

void OW_KERNEL(f32_mean_plain)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_mean *step = argument;
  for (int32_t row = begin; row < end; row++) {
    const float *x = (const float *)step->plain + (int64_t)row * step->count;
    double sum = 0;
    for (int32_t i = 0; i < step->count; i++) sum += x[i];
    ((float *)step->output)[row] = (float)(sum / step->count);
  }
}
