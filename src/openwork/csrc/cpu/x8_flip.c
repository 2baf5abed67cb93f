/* x8_flip: int8 to and from its stored form, 128 higher */
#include "map.h"

OW_MAP_KERNEL(x8_flip, uint8_t, uint8_t, a[i] ^ 0x80)
