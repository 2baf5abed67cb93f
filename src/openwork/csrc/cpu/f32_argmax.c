/* f32_argmax: the index of the largest or smallest element. */
#include "argmax.h"

OW_ARGMAX_KERNEL(f32_argmax, float)
