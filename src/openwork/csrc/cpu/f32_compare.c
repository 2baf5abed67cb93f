/* f32_compare: whether a is b, above b, or at least b. */
#include "elementwise.h"

OW_ONE_BY_ONE(float, uint8_t, OW_FUNCTION(0, a == b) OW_FUNCTION(1, a > b) OW_FUNCTION(2, a >= b))

OW_PLAIN_KERNEL(f32_compare, 4, 4, 4, 1, elements)
