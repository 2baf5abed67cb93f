/* x32_select: for elements of 32 bits. */
#include "select.h"

OW_SELECT_KERNEL(x32_select, uint32_t)
