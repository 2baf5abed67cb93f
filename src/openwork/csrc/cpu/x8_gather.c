/* x8_gather: rows of bytes at places that other data name. Places outside are taken as the nearest inside. */
#include "runtime.h"
#include "vector.h"

static int64_t place(const struct ow_gather *step, int64_t i) {
  int64_t at = step->wide ? ((const int64_t *)step->indices)[i] : ((const int32_t *)step->indices)[i];
  if (at < 0) at += step->size;
  if (at < 0) return 0;
  return at < step->size ? at : step->size - 1;
}

/* Rows of one element are moved as such. */
static void move(char *y, const char *x, int64_t bytes) {
  switch (bytes) {
    case 1: *y = *x; break;
    case 2: memcpy(y, x, 2); break;
    case 4: memcpy(y, x, 4); break;
    case 8: memcpy(y, x, 8); break;
    default: memcpy(y, x, (size_t)bytes);
  }
}

void OW_KERNEL(x8_gather)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_gather *step = argument;
  const int64_t rows = step->outer * step->count;
  for (int64_t row = rows * begin / step->items, stop = rows * end / step->items; row < stop; row++) {
    const int64_t from = row / step->count * step->size + place(step, row % step->count);
    move(step->output + row * step->bytes, step->input + from * step->bytes, step->bytes);
  }
}
