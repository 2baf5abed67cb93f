/* x64_copy: 64-bit elements from one set of strides to another. */
#include "copy.h"

OW_COPY_KERNEL(x64_copy, uint64_t)
