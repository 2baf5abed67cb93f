/* i32_argmax: the index of the largest or smallest element. */
#include "argmax.h"

OW_ARGMAX_KERNEL(i32_argmax, int32_t)
