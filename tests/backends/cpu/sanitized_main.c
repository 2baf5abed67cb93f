/* Runs a plan once: deploy.params, threads, then one file for each input and each output to write. */
#include <stdio.h>
#include <stdlib.h>

#include "openwork.h"

static void *read_or_die(const char *path, size_t bytes) {
  FILE *file = fopen(path, "rb");
  void *data = malloc(bytes);
  if (!file || !data || fread(data, 1, bytes, file) != bytes) exit(3);
  fclose(file);
  return data;
}

int main(int count, char **argument) {
  char error[256];
  openwork_session *session = openwork_open(argument[1], atoi(argument[2]), error, sizeof error);
  if (!session) return fprintf(stderr, "%s\n", error), 2;
  const int32_t inputs = openwork_input_count(), outputs = openwork_output_count();
  if (count != 3 + inputs + outputs) return 3;
  const void *in[8];
  void *out[8];
  for (int32_t i = 0; i < inputs; i++) in[i] = read_or_die(argument[3 + i], openwork_input(i)->bytes);
  for (int32_t i = 0; i < outputs; i++) out[i] = malloc(openwork_output(i)->bytes);
  openwork_run(session, in, out);
  for (int32_t i = 0; i < outputs; i++) {
    FILE *file = fopen(argument[3 + inputs + i], "wb");
    if (!file || fwrite(out[i], 1, openwork_output(i)->bytes, file) != openwork_output(i)->bytes) return 3;
    fclose(file);
    free(out[i]);
  }
  for (int32_t i = 0; i < inputs; i++) free((void *)in[i]);
  openwork_close(session);
  return 0;
}
