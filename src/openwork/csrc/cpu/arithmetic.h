/* arithmetic.h: integer functions that nothing stops: what does not fit wraps around, and by 0 is 0. */
#ifndef OPENWORK_ARITHMETIC_H
#define OPENWORK_ARITHMETIC_H

#include "elementwise.h"

/* a / b cut towards zero. INT_MIN / -1 does not fit: it is a negation, as every division by -1 is. */
#define OW_QUOTIENT(a, b, wide) ((b) == 0 ? 0 : (b) == -1 ? (ow_in)(-(wide)(a)) : (a) / (b))
/* with the sign of a */
#define OW_REMAINDER(a, b) ((b) == 0 || (b) == -1 ? 0 : (a) % (b))
/* with the sign of b */
#define OW_MODULO(a, b) (OW_REMAINDER(a, b) != 0 && (OW_REMAINDER(a, b) < 0) != ((b) < 0) ? OW_REMAINDER(a, b) + (b) : OW_REMAINDER(a, b))

/* By squaring; modulo 2^64, which holds the result modulo 2^32. A fraction is cut off. */
static inline int64_t ow_power(int64_t base, int64_t exponent) {
  if (exponent < 0) return base == 1 || (base == -1 && exponent % 2 == 0) ? 1 : base == -1 ? -1 : 0;
  uint64_t power = 1;
  for (uint64_t factor = (uint64_t)base; exponent; exponent >>= 1, factor *= factor)
    if (exponent & 1) power *= factor;
  return (int64_t)power;
}

/* In the planner's order. `wide` is the unsigned type. */
#define OW_ARITHMETIC(wide)                     \
  OW_FUNCTION(0, (wide)a + (wide)b)             \
  OW_FUNCTION(1, OW_QUOTIENT(a, b, wide))       \
  OW_FUNCTION(2, OW_REMAINDER(a, b))            \
  OW_FUNCTION(3, a > b ? a : b)                 \
  OW_FUNCTION(4, a < b ? a : b)                 \
  OW_FUNCTION(5, OW_MODULO(a, b))               \
  OW_FUNCTION(6, (wide)a * (wide)b)             \
  OW_FUNCTION(7, ow_power(a, b))                \
  OW_FUNCTION(8, (wide)a - (wide)b)             \
  OW_FUNCTION(9, a < 0 ? -(wide)a : (wide)a)    \
  OW_FUNCTION(10, -(wide)a)                     \
  OW_FUNCTION(11, (a > 0) - (a < 0))

#endif
