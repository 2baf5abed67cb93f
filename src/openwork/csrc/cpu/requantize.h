/* requantize.h: one integer sum to one uint8; every operation in float32, as the interpreter does it. */
#ifndef OPENWORK_REQUANTIZE_H
#define OPENWORK_REQUANTIZE_H

#include "runtime.h"
#include "vector.h"

/* clip(rint(x * scale) + zero_point, low, high) */
static inline uint8_t ow_requantize(float x, float scale, const struct ow_requantize *to) {
  return (uint8_t)(int32_t)ow_clampf(rintf(x * scale) + to->zero_point, to->low, to->high);
}

#endif
