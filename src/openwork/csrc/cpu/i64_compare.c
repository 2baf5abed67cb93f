/* i64_compare: whether a is b, above b, or at least b. */
#include "elementwise.h"

OW_ONE_BY_ONE(int64_t, uint8_t, OW_FUNCTION(0, a == b) OW_FUNCTION(1, a > b) OW_FUNCTION(2, a >= b))

OW_PLAIN_KERNEL(i64_compare, 8, 8, 8, 1, elements)
