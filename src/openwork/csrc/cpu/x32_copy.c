/* x32_copy: 32-bit elements from one set of strides to another. */
#include "copy.h"

OW_COPY_KERNEL(x32_copy, uint32_t)
