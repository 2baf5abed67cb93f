/* Runs many plans, each in memory of its own whose neighbours are poisoned: folder of programs, folder of results.
 *
 * Kernels may read READ_PAST bytes past a buffer of the arena or of deploy.params: these hold ones, and must
 * still do so at the end. All other bytes around buffers may not be touched; nor may any around the caller's own. */
#include <sanitizer/asan_interface.h>

#include "runtime.h"

static const struct ow_plan *chosen;
#define ow_plan (*chosen)
#include "session.c"
#undef ow_plan

enum { THREADS = 2 };

/* Inputs of this byte alone: the largest floats and integers, NaN and -1, the smallest integers. */
static const int extremes[] = {0x7f, 0xff, 0x80};

struct region {
  size_t offset, bytes;
};

/* Generated beside the plans. */
extern const struct ow_plan *const plans[];
extern const struct region *const regions[]; /* of each plan, in order; the last has 0 bytes */
extern const int plan_count;

static int failed(int plan, const char *what, int index) {
  return fprintf(stderr, "program %d: %s %d\n", plan, what, index), 1;
}

static FILE *file_of(const char *folder, int plan, const char *kind, int index, const char *mode) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%d.%s%d", folder, plan, kind, index);
  FILE *file = fopen(path, mode);
  if (!file) exit(failed(plan, kind, index));
  return file;
}

static size_t param_bytes(const openwork_session *session, int index) {
  return ((const struct place *)((const struct header *)session->weights + 1))[index].bytes;
}

/* Each tensor of deploy.params in an allocation of its own. */
static void part_params(openwork_session *session) {
  for (int i = 0; i < chosen->params; i++) {
    const size_t bytes = param_bytes(session, i);
    void *copy = NULL;
    if (posix_memalign(&copy, 64, bytes + READ_PAST)) exit(2);
    memset(copy, 0xff, bytes + READ_PAST);
    memcpy(copy, session->params[i], bytes);
    ((const void **)session->params)[i] = copy;
  }
}

/* All of the arena is ones; what lies between its regions is poisoned. */
static void part_arena(openwork_session *session, const struct region *region) {
  memset(session->arena, 0xff, chosen->arena);
  __asan_poison_memory_region(session->arena, chosen->arena);
  for (; region->bytes; region++)
    __asan_unpoison_memory_region(session->arena + region->offset, region->bytes + READ_PAST);
}

static int is_touched(const void *end) {
  const unsigned char *byte = end;
  for (int i = 0; i < READ_PAST; i++)
    if (byte[i] != 0xff) return 1;
  return 0;
}

static int run(int plan, const char *programs, const char *results) {
  char path[4096], error[256];
  chosen = plans[plan];
  snprintf(path, sizeof path, "%s/%d.params", programs, plan);
  openwork_session *session = openwork_open(path, THREADS, error, sizeof error);
  if (!session) return failed(plan, error, 0);
  part_params(session);
  part_arena(session, regions[plan]);

  void **in = calloc((size_t)chosen->inputs, sizeof *in), **out = calloc((size_t)chosen->outputs, sizeof *out);
  for (int i = 0; i < chosen->inputs; i++) in[i] = malloc(chosen->input[i].bytes);
  for (int i = 0; i < chosen->outputs; i++) out[i] = malloc(chosen->output[i].bytes);

  for (size_t k = 0; k < sizeof extremes / sizeof *extremes; k++) {
    for (int i = 0; i < chosen->inputs; i++)
      memset(in[i], chosen->input[i].type == OPENWORK_BOOL ? 1 : extremes[k], chosen->input[i].bytes);
    openwork_run(session, (const void *const *)in, out);
  }
  for (int i = 0; i < chosen->inputs; i++) {
    FILE *file = file_of(programs, plan, "in", i, "rb");
    if (fread(in[i], 1, chosen->input[i].bytes, file) != chosen->input[i].bytes) return failed(plan, "input", i);
    fclose(file);
  }
  openwork_run(session, (const void *const *)in, out); /* meets the memory that the others left */

  for (int i = 0; regions[plan][i].bytes; i++)
    if (is_touched(session->arena + regions[plan][i].offset + regions[plan][i].bytes))
      return failed(plan, "writes past region", i);
  __asan_unpoison_memory_region(session->arena, chosen->arena);
  for (int i = 0; i < chosen->params; i++) {
    if (is_touched((const char *)session->params[i] + param_bytes(session, i)))
      return failed(plan, "writes past parameter", i);
    free((void *)session->params[i]);
  }
  for (int i = 0; i < chosen->outputs; i++) {
    FILE *file = file_of(results, plan, "out", i, "wb");
    if (fwrite(out[i], 1, chosen->output[i].bytes, file) != chosen->output[i].bytes) return failed(plan, "output", i);
    fclose(file);
    free(out[i]);
  }
  for (int i = 0; i < chosen->inputs; i++) free(in[i]);
  free(in);
  free(out);
  openwork_close(session);
  return 0;
}

int main(int count, char **argument) {
  if (count != 3) return 2;
  for (int plan = 0; plan < plan_count; plan++) {
    fprintf(stderr, "program %d\n", plan);
    if (run(plan, argument[1], argument[2])) return 1;
  }
  return 0;
}
