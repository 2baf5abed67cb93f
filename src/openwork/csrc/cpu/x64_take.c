/* x64_take: 64-bit elements at places that tables name. */
#include "take.h"

OW_TAKE_KERNEL(x64_take, uint64_t)
