/* i64_arithmetic: functions of one or two int64, which wrap around: see lowering/functions.py. */
#include "arithmetic.h"

OW_ONE_BY_ONE(int64_t, int64_t, OW_ARITHMETIC(uint64_t))

OW_PLAIN_KERNEL(i64_arithmetic, 8, 8, 8, 8, elements)
