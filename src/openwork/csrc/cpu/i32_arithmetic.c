/* i32_arithmetic: functions of one or two int32, which wrap around: see lowering/functions.py. */
#include "arithmetic.h"

OW_ONE_BY_ONE(int32_t, int32_t, OW_ARITHMETIC(uint32_t))

OW_PLAIN_KERNEL(i32_arithmetic, 4, 4, 4, 4, elements)
