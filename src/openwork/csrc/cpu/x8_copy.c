/* x8_copy: 8-bit elements from one set of strides to another. */
#include "copy.h"

OW_COPY_KERNEL(x8_copy, uint8_t)
