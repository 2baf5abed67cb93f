/* x16_copy: 16-bit elements from one set of strides to another. */
#include "copy.h"

OW_COPY_KERNEL(x16_copy, uint16_t)
