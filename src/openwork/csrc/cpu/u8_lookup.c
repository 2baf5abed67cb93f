/* u8_lookup: y = table[x] */
#include "runtime.h"
#include "vector.h"

void OW_KERNEL(u8_lookup)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_lookup *step = argument;
  const uint8_t *restrict x = (const uint8_t *)step->input, *restrict table = step->table;
  uint8_t *restrict y = (uint8_t *)step->output;
  const int64_t last = step->count * end / step->items;
  for (int64_t i = step->count * begin / step->items; i < last; i++) y[i] = table[x[i]];
}
