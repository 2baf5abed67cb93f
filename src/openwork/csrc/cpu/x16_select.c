/* x16_select: for elements of 16 bits. */
#include "select.h"

OW_SELECT_KERNEL(x16_select, uint16_t)
