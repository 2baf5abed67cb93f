/* u8_softmax: see IntegerSoftmax in lowering/steps/reducing.py. */
#include "requantize.h"
#include "vector.h"

void OW_KERNEL(u8_softmax)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_integer_softmax s = *(const struct ow_integer_softmax *)argument;
  for (int32_t row = begin; row < end; row++) {
    const uint8_t *restrict x = (const uint8_t *)s.input + (int64_t)row * s.count;
    uint8_t *restrict y = (uint8_t *)s.output + (int64_t)row * s.count;
    const int32_t *powers = s.exponentials;
    uint8_t most = 0;
    for (int32_t i = 0; i < s.count; i++) most = x[i] > most ? x[i] : most;
    int64_t sum = 0;
    for (int32_t i = 0; i < s.count; i++) sum += powers[most - x[i]];
    const float factor = 1 / ((float)sum * s.scale);
    for (int32_t i = 0; i < s.count; i++) y[i] = ow_requantize((float)powers[most - x[i]], factor, &s.requantize);
  }
}
