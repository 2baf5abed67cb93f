/* cast: elements of one type as another: see Cast in lowering/steps/elementwise.py. */
#include "elementwise.h"

enum { FLOAT32, INT32, INT64, INT8, UINT8, BOOL }; /* int8 is stored 128 higher */
enum { BLOCK = 64 };

#define EACH(type, expression)                                                        \
  {                                                                                   \
    const type *x = (const type *)in;                                                 \
    for (int64_t i = 0; i < count; i++) whole[i] = (expression);                      \
  }                                                                                   \
  break

static void read_whole(int32_t from, const char *in, int64_t *whole, int64_t count) {
  switch (from) {
    case INT32: EACH(int32_t, x[i]);
    case INT64: EACH(int64_t, x[i]);
    case INT8: EACH(uint8_t, x[i] - 128);
    default: EACH(uint8_t, x[i]);
  }
}
#undef EACH

/* Towards zero; what does not fit becomes the nearest limit, NaN 0. Limits are floats, `high` perhaps one too large. */
static int64_t truncated(float x, int64_t low, int64_t high) {
  if (x != x) return 0;
  if (x <= (float)low) return low;
  return x >= (float)high ? high : (int64_t)x;
}

static void truncate_all(int32_t to, const float *x, int64_t *whole, int64_t count) {
  static const int64_t limits[][2] = {[INT32] = {INT32_MIN, INT32_MAX}, [INT64] = {INT64_MIN, INT64_MAX},
                                      [INT8] = {-128, 127}, [UINT8] = {0, 255}};
  if (to == BOOL)
    for (int64_t i = 0; i < count; i++) whole[i] = x[i] != 0;
  else
    for (int64_t i = 0; i < count; i++) whole[i] = truncated(x[i], limits[to][0], limits[to][1]);
}

#define EACH(type, expression)                                                          \
  {                                                                                     \
    type *y = (type *)out;                                                              \
    for (int64_t i = 0; i < count; i++) y[i] = (type)(expression);                      \
  }                                                                                     \
  break

static void write_whole(int32_t to, const int64_t *whole, char *out, int64_t count) {
  switch (to) {
    case FLOAT32: EACH(float, whole[i]);
    case INT32: EACH(int32_t, whole[i]);
    case INT64: EACH(int64_t, whole[i]);
    case INT8: EACH(uint8_t, (uint64_t)whole[i] + 128);
    case UINT8: EACH(uint8_t, whole[i]);
    default: EACH(uint8_t, whole[i] != 0);
  }
}

void OW_KERNEL(cast)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_cast *step = argument;
  static const int64_t size[] = {[FLOAT32] = 4, [INT32] = 4, [INT64] = 8, [INT8] = 1, [UINT8] = 1, [BOOL] = 1};
  const int64_t last = step->count * end / step->items;
  for (int64_t at = step->count * begin / step->items; at < last; at += BLOCK) {
    const int64_t count = last - at < BLOCK ? last - at : BLOCK;
    const char *in = step->input + at * size[step->from];
    int64_t whole[BLOCK];
    if (step->from == FLOAT32)
      truncate_all(step->to, (const float *)in, whole, count);
    else
      read_whole(step->from, in, whole, count);
    write_whole(step->to, whole, step->output + at * size[step->to], count);
  }
}
