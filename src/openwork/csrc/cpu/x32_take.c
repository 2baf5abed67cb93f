/* x32_take: 32-bit elements at places that tables name. */
#include "take.h"

OW_TAKE_KERNEL(x32_take, uint32_t)
