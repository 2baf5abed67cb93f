/* x16_take: 16-bit elements at places that tables name. */
#include "take.h"

OW_TAKE_KERNEL(x16_take, uint16_t)
