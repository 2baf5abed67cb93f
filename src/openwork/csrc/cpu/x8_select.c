/* x8_select: for elements of 8 bits. */
#include "select.h"

OW_SELECT_KERNEL(x8_select, uint8_t)
