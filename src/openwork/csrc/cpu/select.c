/* select.c: which instruction sets this processor and operating system can run. */
#include "kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>

/* The parts of the register state that the operating system saves (XCR0). */
static uint64_t saved_state(void) {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
}

static int bit(uint32_t word, int index) { return word >> index & 1; }

int ow_runs_avx2(void) {
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !bit(c, 27) || !bit(c, 12)) return 0; /* OSXSAVE, FMA */
  if ((saved_state() & 0x6) != 0x6) return 0;                                  /* XMM, YMM */
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && bit(b, 5);
}

int ow_runs_avx512(void) {
  uint32_t a, b, c, d;
  if (!ow_runs_avx2() || (saved_state() & 0xE6) != 0xE6) return 0; /* and opmask, ZMM */
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
  return bit(b, 16) && bit(b, 17) && bit(b, 30) && bit(b, 31); /* F, DQ, BW, VL */
}

int ow_runs_avx512vnni(void) {
  uint32_t a, b, c, d;
  return ow_runs_avx512() && __get_cpuid_count(7, 0, &a, &b, &c, &d) && bit(c, 11);
}
#else
int ow_runs_avx2(void) { return 0; }
int ow_runs_avx512(void) { return 0; }
int ow_runs_avx512vnni(void) { return 0; }
#endif

int ow_runs_portable(void) { return 1; }

/* The best set this machine can run, or the one named by `wanted`; NULL when it cannot run that one. */
const struct ow_kernels *ow_select_kernels(const char *wanted) {
  for (const struct ow_kernels *const *set = ow_kernel_sets; *set; set++)
    if ((!wanted || !*wanted || !strcmp(wanted, (*set)->isa)) && (*set)->runs_here()) return *set;
  return NULL;
}
