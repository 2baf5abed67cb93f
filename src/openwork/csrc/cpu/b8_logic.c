/* b8_logic: functions of bytes that are 0 or 1. */
#include "elementwise.h"

OW_ONE_BY_ONE(uint8_t, uint8_t,
              OW_FUNCTION(0, a & b) OW_FUNCTION(1, a | b) OW_FUNCTION(2, a ^ b) OW_FUNCTION(3, a == b) OW_FUNCTION(4, !a))

OW_PLAIN_KERNEL(b8_logic, 1, 1, 1, 1, elements)
