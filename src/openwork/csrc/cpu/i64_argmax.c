/* i64_argmax: the index of the largest or smallest element. */
#include "argmax.h"

OW_ARGMAX_KERNEL(i64_argmax, int64_t)
