// SPDX-License-Identifier: Apache-2.0
#include "api/json.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include "codec/json.h"
#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool run(const char *format, const char *folder) {
  char command[1024];
  snprintf(command, sizeof command, format, folder);
  FILE *pipe = popen(command, "r");
  return pipe && pclose(pipe) == 0;
}

static char *read_file(const char *folder, const char *name, size_t *size) {
  char path[1024];
  snprintf(path, sizeof path, "%s/test_parsing/%s", folder, name);
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  char *data = malloc(1 << 20);
  *size = fread(data, 1, 1 << 20, file);
  fclose(file);
  return realloc(data, *size ? *size : 1);
}

static void passes_the_public_suite(void **state) {
  (void)state;
  static const char archive[] = TEST_CORPORA "/json-JSONTestSuite/JSONTestSuite.tar.gz";
  if (access(archive, R_OK) != 0) {
    print_message("skipped: no %s\n", archive);
    skip();
  }
  char folder[] = "/tmp/ccrelay-json-XXXXXX";
  assert_non_null(mkdtemp(folder));
  assert_true(
      run("tar -xzf " TEST_CORPORA "/json-JSONTestSuite/JSONTestSuite.tar.gz -C %s", folder));
  char parsing[64];
  snprintf(parsing, sizeof parsing, "%s/test_parsing", folder);
  DIR *entries = opendir(parsing);
  assert_non_null(entries);
  int seen['z' + 1] = {0}, wrong = 0;
  for (struct dirent *entry; (entry = readdir(entries));) {
    char kind = entry->d_name[0];
    if (kind == '.') continue;
    size_t size;
    char *data = read_file(folder, entry->d_name, &size);
    bool good = cc_json_valid(data, (uint32_t)size);
    free(data);
    seen[(int)kind]++;
    if ((kind != 'y' || good) && (kind != 'n' || !good)) continue;
    print_error("%s: %s\n", entry->d_name, good ? "accepted" : "refused");
    wrong++;
  }
  closedir(entries);
  assert_true(run("rm -r %s", folder));
  assert_int_equal(wrong, 0);
  assert_true(seen['y'] >= 95 && seen['n'] >= 188 && seen['i'] >= 35);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(passes_the_public_suite),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
