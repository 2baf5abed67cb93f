/* x64_select: for elements of 64 bits. */
#include "select.h"

OW_SELECT_KERNEL(x64_select, uint64_t)
