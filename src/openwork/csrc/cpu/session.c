/* session.c: the functions of openwork.h, the same for every network. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "kernels.h"
#include "runtime.h"

/* deploy.params: this header, `count` places, then the tensors, each at a multiple of 64 bytes. Little-endian. */
struct header {
  char magic[8]; /* "OPENWORK" */
  uint32_t version, count;
  uint64_t plan;
  uint64_t checksum; /* of everything after the header */
  uint64_t bytes;    /* of the whole file */
  uint64_t reserved[3];
};

struct place {
  uint64_t offset, bytes;
};

enum { PARAMS_VERSION = 1, HUGE_PAGE = 2 << 20, READ_PAST = 128 /* bytes that kernels may read past a buffer */ };

static void *fail(char *error, size_t size, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  if (size) vsnprintf(error, size, format, arguments);
  va_end(arguments);
  return NULL;
}

/* Tells why no kernels were selected. */
static void *fail_to_select(const char *wanted, char *error, size_t size) {
  char brought[128] = "", run[128] = "";
  int is_known = 0;
  for (const struct ow_kernels *const *set = ow_kernel_sets; *set; set++) {
    for (int here = 0; here < 2; here++) {
      char *names = here ? run : brought;
      const size_t length = strlen(names);
      if (here && !(*set)->runs_here()) continue;
      snprintf(names + length, sizeof run - length, "%s%s", length ? ", " : "", (*set)->isa);
    }
    is_known |= wanted && !strcmp(wanted, (*set)->isa);
  }
  if (!*run) return fail(error, size, "this processor runs none of the library's instruction sets: %s", brought);
  return fail(error, size, "OPENWORK_ISA=%.32s: %s; choose from %s, or unset it", wanted,
              is_known ? "this processor lacks it" : "the library has no such instruction set", run);
}

/* Memory on huge pages where the system grants them: planes lie far apart, small pages would miss the TLB. */
static void *allocate(size_t bytes) {
  size_t whole = (bytes + READ_PAST + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
  void *memory = aligned_alloc(HUGE_PAGE, whole);
  if (memory) madvise(memory, whole, MADV_HUGEPAGE);
  return memory;
}

/* The words as digits of a number in an odd base, modulo 2^64: any single changed word changes it. */
static uint64_t checksum(const char *data, size_t bytes) {
  uint64_t sum = 0, word;
  for (size_t i = 0; i < bytes; i += 8) {
    memcpy(&word, data + i, 8);
    sum = sum * 0x100000001b3 + word;
  }
  return sum;
}

static char *read_file(const char *path, size_t *bytes, char *error, size_t size) {
  FILE *file = fopen(path, "rb");
  if (!file) return fail(error, size, "%s: %s; give the path of deploy.params", path, strerror(errno));
  long end = fseek(file, 0, SEEK_END) ? -1 : ftell(file);
  char *data = end < 0 || fseek(file, 0, SEEK_SET) ? NULL : allocate((size_t)end);
  if (data && fread(data, 1, (size_t)end, file) != (size_t)end) {
    free(data);
    data = NULL;
  }
  fclose(file);
  if (!data) return fail(error, size, "%s: cannot be read; check the file and free memory", path);
  *bytes = (size_t)end;
  return data;
}

/* Whether the lists of struct ow_rows, which stand one behind another, are as long as their starts say. */
static int lists_agree(const void **tensors, const struct place *places) {
  const uint32_t *starts = tensors[0];
  const uint64_t count = places[0].bytes / sizeof *starts, taps = starts[count - 1];
  for (uint64_t i = 1; i < count; i++)
    if (starts[i - 1] > starts[i]) return 0;
  const uint64_t offsets = 4 * taps, values = places[2].bytes; /* of one, two or four rows, 4 bytes each */
  return starts[0] == 0 && places[1].bytes == offsets &&
         (values == offsets || values == 2 * offsets || values == 4 * offsets);
}

/* Returns the tensors' addresses, or NULL when the file is not what this plan needs. */
static const void **find_tensors(const char *path, const char *data, size_t bytes, char *error, size_t size) {
  const struct header *header = (const struct header *)data;
  if (bytes < sizeof *header || memcmp(header->magic, "OPENWORK", 8))
    return fail(error, size, "%s: not a deploy.params file; compile the model again", path);
  if (header->version != PARAMS_VERSION)
    return fail(error, size, "%s: format %u, this library reads %d; compile the model again", path,
                header->version, PARAMS_VERSION);
  if (header->bytes != bytes || bytes % 8 || header->checksum != checksum(data + sizeof *header, bytes - sizeof *header))
    return fail(error, size, "%s: truncated or changed; copy it again or compile the model again", path);
  if (header->plan != ow_plan.id || header->count != (uint32_t)ow_plan.params)
    return fail(error, size, "%s: belongs to another deploy.so; keep the files of one directory together", path);
  if ((bytes - sizeof *header) / sizeof(struct place) < header->count)
    return fail(error, size, "%s: has no room for its %u tensors; compile the model again", path, header->count);
  const struct place *place = (const struct place *)(header + 1);
  const void **params = malloc(sizeof *params * (header->count + 1));
  if (!params) return fail(error, size, "%s: out of memory", path);
  for (uint32_t i = 0; i < header->count; i++) {
    int fits = place[i].offset % 64 == 0 && place[i].offset <= bytes && place[i].bytes <= bytes - place[i].offset;
    if (!fits || (ow_plan.param_bytes[i] >= 0 && place[i].bytes != (uint64_t)ow_plan.param_bytes[i])) {
      free(params);
      return fail(error, size, "%s: tensor %u has the wrong size; compile the model again", path, i);
    }
    params[i] = data + place[i].offset;
  }
  for (uint32_t i = 0; i < header->count; i++) {
    if (ow_plan.param_bytes[i] >= 0) continue;
    if (!lists_agree(params + i - 1, place + i - 1)) { /* starts, whose size is fixed, offsets, values */
      free(params);
      return fail(error, size, "%s: lists at tensor %u do not agree; compile the model again", path, i);
    }
    i++;
  }
  return params;
}

int32_t openwork_abi(void) { return OPENWORK_ABI; }
int32_t openwork_input_count(void) { return ow_plan.inputs; }
int32_t openwork_output_count(void) { return ow_plan.outputs; }

const openwork_tensor *openwork_input(int32_t index) {
  return index >= 0 && index < ow_plan.inputs ? &ow_plan.input[index] : NULL;
}

const openwork_tensor *openwork_output(int32_t index) {
  return index >= 0 && index < ow_plan.outputs ? &ow_plan.output[index] : NULL;
}

openwork_session *openwork_open(const char *path, int32_t threads, char *error, size_t size) {
  if (threads < 1 || threads > 64) return fail(error, size, "%d threads; choose 1 to 64", threads);
  const char *wanted = getenv("OPENWORK_ISA");
  const struct ow_kernels *kernels = ow_select_kernels(wanted);
  if (!kernels) return fail_to_select(wanted, error, size);
  size_t bytes;
  char *weights = read_file(path, &bytes, error, size);
  if (!weights) return NULL;
  const void **params = find_tensors(path, weights, bytes, error, size);
  openwork_session *session = params ? calloc(1, sizeof *session) : NULL;
  if (!session) {
    if (params) fail(error, size, "out of memory");
    free(params);
    free(weights);
    return NULL;
  }
  *session = (openwork_session){.kernels = kernels, .isa = kernels->isa, .params = params, .weights = weights};
  session->arena = allocate(ow_plan.arena);
  session->pool = ow_pool_start(threads);
  if (!session->arena || !session->pool) {
    openwork_close(session);
    return fail(error, size, "out of memory: %zu bytes and %d threads are needed", ow_plan.arena, threads);
  }
  memset(session->arena, 0, ow_plan.arena);
  return session;
}

void openwork_run_tapped(openwork_session *session, const void *const *inputs, void *const *outputs,
                         openwork_tap tap, void *user) {
  session->tap = tap;
  session->user = user;
  ow_plan.run(session, (const char *const *)inputs, (char *const *)outputs);
}

void openwork_run(openwork_session *session, const void *const *inputs, void *const *outputs) {
  openwork_run_tapped(session, inputs, outputs, NULL, NULL);
}

void ow_run(const openwork_session *session, ow_kernel *kernel, const void *step, int32_t items) {
  ow_pool_run(session->pool, kernel, step, items);
}

const char *openwork_isa(const openwork_session *session) { return session->isa; }

void openwork_close(openwork_session *session) {
  if (!session) return;
  ow_pool_stop(session->pool);
  free(session->arena);
  free((void *)session->params);
  free(session->weights);
  free(session);
}
