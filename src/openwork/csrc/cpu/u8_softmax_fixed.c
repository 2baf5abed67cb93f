/* u8_softmax_fixed: see FixedSoftmax in lowering/steps/fixed_point.py; numbers fit 32 bits, products do not. */
#include "runtime.h"
#include "vector.h"

enum { SUM_BITS = 12 }; /* before the binary point */

static int64_t doubled_product(int64_t a, int64_t b) {
  const int64_t product = (a * b + (1 << 30)) >> 31;
  return product > INT32_MAX ? INT32_MAX : product;
}

static int64_t half_away(int64_t x, int32_t count) { return (x + ((int64_t)1 << (count - 1)) - (x < 0)) >> count; }

static int64_t raise(int64_t x, int32_t count) { /* saturated */
  const int64_t most = INT32_MAX >> count, least = INT32_MIN >> count;
  return (x < least ? least : x > most ? most : x) * (1 << count);
}

static int64_t reciprocal(int64_t x) { /* 1 / (1 + x), 31 fractional bits */
  const int64_t half = (x + ((int64_t)1 << 31)) >> 1;
  int64_t y = 1515870810 + doubled_product(half, -1010580540); /* 48 / 17 and -32 / 17 with 29 fractional bits */
  for (int i = 0; i < 3; i++) y += raise(doubled_product(y, (1 << 29) - doubled_product(half, y)), 2);
  return raise(y, 1);
}

void OW_KERNEL(u8_softmax_fixed)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_fixed_softmax *step = argument;
  for (int32_t row = begin; row < end; row++) {
    const uint8_t *x = (const uint8_t *)step->input + (int64_t)row * step->count;
    uint8_t *y = (uint8_t *)step->output + (int64_t)row * step->count;
    uint8_t most = 0;
    for (int32_t i = 0; i < step->count; i++) most = x[i] > most ? x[i] : most;
    int64_t sum = 0;
    for (int32_t i = 0; i < step->count; i++) sum += half_away(step->exponentials[most - x[i]], SUM_BITS);
    const int32_t headroom = __builtin_clz((uint32_t)sum);
    const int64_t scale = reciprocal((sum << headroom) - ((int64_t)1 << 31));
    for (int32_t i = 0; i < step->count; i++) {
      const int64_t part = doubled_product(scale, step->exponentials[most - x[i]]);
      const int64_t whole = half_away(part, SUM_BITS - headroom + 31 - 8);
      y[i] = (uint8_t)(whole > 255 ? 255 : whole);
    }
  }
}
