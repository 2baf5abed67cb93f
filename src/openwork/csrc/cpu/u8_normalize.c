/* u8_normalize: see IntegerNormalize in lowering/steps/normalizing.py. */
#include "requantize.h"
#include "vector.h"

enum { BLOCK = 16384 }; /* squares of so many bytes fit an int32 */

static inline float real(int32_t deviation, float factor, float scale, float bias) {
  return (float)deviation * factor * scale + bias;
}

static inline uint8_t narrow(float x, const struct ow_requantize *to) {
  return (uint8_t)ow_rounded(x, to->zero_point, to->low, to->high);
}

void OW_KERNEL(u8_normalize)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_integer_normalize s = *(const struct ow_integer_normalize *)argument;
  const int32_t zero = s.input_zero_point;
  for (int32_t row = begin; row < end; row++) {
    const uint8_t *restrict x = (const uint8_t *)s.input + (int64_t)row * s.count;
    uint8_t *restrict y = (uint8_t *)s.output + (int64_t)row * s.count;
    const float *scale = (const float *)s.scale + row * s.scale_row, *bias = (const float *)s.bias + row * s.bias_row;
    int64_t sum = 0, squares = 0;
    for (int32_t at = 0; at < s.count; at += BLOCK) {
      const int32_t last = at + BLOCK < s.count ? at + BLOCK : s.count;
      int32_t part = 0, square = 0;
      for (int32_t i = at; i < last; i++) part += x[i] - zero, square += (x[i] - zero) * (x[i] - zero);
      sum += part, squares += square;
    }
    if (!s.centred) sum = 0;
    const double spread = (double)(s.count * squares - sum * sum);
    const float factor = (float)(1 / sqrt(spread + (double)s.epsilon));
    const int32_t shift = (int32_t)sum + s.count * zero;
    if (s.scale_element && s.bias_element) {
      for (int32_t i = 0; i < s.count; i++)
        y[i] = narrow(real(s.count * x[i] - shift, factor, scale[i], bias[i]), &s.requantize);
    } else {
      for (int32_t i = 0; i < s.count; i++) {
        const float by = scale[i * s.scale_element], more = bias[i * s.bias_element];
        y[i] = narrow(real(s.count * x[i] - shift, factor, by, more), &s.requantize);
      }
    }
  }
}
