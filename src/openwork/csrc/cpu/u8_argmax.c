/* u8_argmax: the index of the largest or smallest element. */
#include "argmax.h"

OW_ARGMAX_KERNEL(u8_argmax, uint8_t)
