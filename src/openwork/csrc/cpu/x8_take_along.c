/* x8_take_along: elements of each row at the places that the same row of other data names. */
#include "runtime.h"
#include "vector.h"

/* The nearest inside for places outside. */
static int64_t inside(int64_t at, int64_t size) {
  if (at < 0) at += size;
  if (at < 0) return 0;
  return at < size ? at : size - 1;
}

void OW_KERNEL(x8_take_along)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_take_along *step = argument;
  const int64_t inner = step->inner, each = step->count * inner, all = step->outer * each, bytes = step->bytes;
  for (int64_t i = all * begin / step->items, stop = all * end / step->items; i < stop; i++) {
    const int64_t at = step->wide ? ((const int64_t *)step->indices)[i] : ((const int32_t *)step->indices)[i];
    const int64_t from = (i / each * step->size + inside(at, step->size)) * inner + i % inner;
    memcpy(step->output + i * bytes, step->input + from * bytes, (size_t)bytes);
  }
}
