/* x8_take: 8-bit elements at places that tables name. */
#include "take.h"

OW_TAKE_KERNEL(x8_take, uint8_t)
