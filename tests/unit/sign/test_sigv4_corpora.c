// SPDX-License-Identifier: Apache-2.0
// Signatures against the vectors of others; skipped where the corpora are not.
#include "api/error.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka.h needs the four above.
#include <cmocka.h>
#include <dirent.h>
#include <unistd.h>

#include "codec/json.h"
#include "sign/vector.h"

#define AWS    TEST_CORPORA "/sigv4-aws-c-auth/tests/aws-signing-test-suite/v4"
#define BOTO   TEST_CORPORA "/sigv4-botocore/aws4_testsuite"
#define GOLDEN TEST_CORPORA "/sdk-golden-requests/requests-"

static void need(const char *path) {
  if (access(path, R_OK) == 0) return;
  print_message("skipped: no %s\n", path);
  skip();
}

static char *read_part(const char *folder, const char *name) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  char *text = read_text(path);
  if (!text) fail_msg("cannot read %s", path);
  return text;
}

// A text of the signer against a file of the vector; files may end in a line feed more.
static void is_text(const char *what, struct cc_buffer *got, char *expected) {
  size_t size = strlen(expected);
  while (size && expected[size - 1] == '\n')
    expected[--size] = '\0';
  cc_buffer_add(got, "", 1);
  if (strcmp(got->data, expected) != 0)
    fail_msg("%s\n-- got\n%s\n-- expected\n%s", what, got->data, expected);
  cc_buffer_free(got);
  free(expected);
}

static void texts(const char *name, struct vector *vector, char *canonical, char *to_sign) {
  struct cc_buffer out = {0};
  assert_int_equal(cc_sigv4_canonical(&vector->request, &out), CC_OK);
  is_text(name, &out, canonical);
  assert_int_equal(cc_sigv4_to_sign(&vector->request, &out), CC_OK);
  is_text(name, &out, to_sign);
}

// The signature in the lines that are sent, against the end of expected.
static void signature(const char *name, struct vector *vector, const char *expected) {
  struct cc_buffer lines = {0};
  assert_int_equal(cc_sigv4(&vector->request, "\n", &lines), CC_OK);
  char *value = line_value(&lines, "authorization");
  assert_non_null(value);
  size_t size = strlen(expected), got = strlen(value);
  assert_true(size >= 64 && got >= size);
  if (strcmp(value + got - size, expected) != 0)
    fail_msg("%s\n-- got\n%s\n-- expected\n%s", name, value, expected);
  free(value);
  cc_buffer_free(&lines);
}

static char *member(const char *text, const char *path) {
  struct cc_json_member found;
  if (cc_json_find(text, strlen(text), cc_slice_text(path), &found) != CC_OK) return NULL;
  char *out = cc_copy_text("", 0);
  if (*found.value.data != '"') {
    free(out);
    return cc_copy_text(found.value.data, found.value.size);
  }
  out = cc_realloc(out, found.value.size + 1);
  out[cc_json_text(found.value, out, found.value.size)] = '\0';
  return out;
}

static bool is_true(const char *context, const char *path) {
  char *value = member(context, path);
  bool result = value && strcmp(value, "true") == 0;
  free(value);
  return result;
}

// ---- aws-c-auth --------------------------------------------------------------------------------

static void aws_case(const char *name) {
  char folder[4096];
  struct vector vector;
  snprintf(folder, sizeof folder, AWS "/%s", name);
  vector_read(&vector, read_part(folder, "request.txt"));
  char *context = read_part(folder, "context.json");
  char *token = member(context, "credentials.token");
  vector.signer.session_token = cc_slice_text(token ? token : "");
  vector.request.options = CC_SIGV4_ENCODE;
  if (is_true(context, "normalize")) vector.request.options |= CC_SIGV4_NORMALIZE;
  if (is_true(context, "sign_body")) vector.request.options |= CC_SIGV4_BODY_HEADER;
  if (is_true(context, "omit_session_token")) vector.request.options |= CC_SIGV4_TOKEN_APART;
  texts(name, &vector, read_part(folder, "header-canonical-request.txt"),
        read_part(folder, "header-string-to-sign.txt"));
  char *expected = read_part(folder, "header-signature.txt");
  signature(name, &vector, strtok(expected, "\n"));
  free(expected);
  free(token);
  free(context);
  free(vector.text);
}

static void aws_vectors(void **state) {
  (void)state;
  need(AWS);
  int count = 0;
  DIR *folder = opendir(AWS);
  for (struct dirent *entry; (entry = readdir(folder));) {
    if (entry->d_name[0] == '.') continue;
    aws_case(entry->d_name);
    count++;
  }
  closedir(folder);
  print_message("vectors: %d\n", count);
  assert_int_equal(count, 38);
}

// ---- botocore ----------------------------------------------------------------------------------

static char *boto_part(const char *stem, const char *ending) {
  char path[4096];
  snprintf(path, sizeof path, "%s.%s", stem, ending);
  char *text = read_text(path);
  if (!text) fail_msg("cannot read %s", path);
  return text;
}

// The session token stands only in the signed request; it is signed when the canonical one has it.
static void boto_case(const char *stem) {
  struct vector vector;
  vector_read(&vector, boto_part(stem, "req"));
  char *sent = boto_part(stem, "sreq"), *canonical = boto_part(stem, "creq");
  struct cc_buffer lines = {sent, strlen(sent), 0};
  char *token = line_value(&lines, "x-amz-security-token");
  vector.signer.session_token = cc_slice_text(token ? token : "");
  vector.request.options = CC_SIGV4_ENCODE | CC_SIGV4_NORMALIZE;
  if (!strstr(canonical, "security-token")) vector.request.options |= CC_SIGV4_TOKEN_APART;
  texts(stem, &vector, canonical, boto_part(stem, "sts"));
  char *expected = boto_part(stem, "authz");
  signature(stem, &vector, strtok(expected, "\n"));
  free(expected);
  free(token);
  free(sent);
  free(vector.text);
}

static int boto_folder(const char *path) {
  int count = 0;
  DIR *folder = opendir(path);
  for (struct dirent *entry; (entry = readdir(folder));) {
    char below[2048];
    size_t size = (size_t)snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.') count += boto_folder(below);
    if (size < 4 || strcmp(below + size - 4, ".req") != 0) continue;
    below[size - 4] = '\0';
    boto_case(below);
    count++;
  }
  closedir(folder);
  return count;
}

static void boto_vectors(void **state) {
  (void)state;
  need(BOTO);
  int count = boto_folder(BOTO);
  print_message("vectors: %d\n", count);
  assert_int_equal(count, 34);
}

// ---- Requests of Anthropic's SDKs --------------------------------------------------------------

// The body as it was sent: the recording has blanks between its tokens.
static void golden_body(struct vector *vector, const char *line) {
  char *body = member(line, "body"), *to = body;
  bool text = false;
  for (const char *at = body; *at; at++) {
    if (*at == '"') text = !text;
    if (text || *at != ' ') *to++ = *at;
  }
  vector_hash(vector, body, (size_t)(to - body));
  free(body);
}

static void golden_headers(struct cc_buffer *out, const char *line, const char *version) {
  struct cc_json json;
  struct cc_json_member found;
  char *headers = member(line, "headers");
  cc_json_init(&json, headers, strlen(headers));
  assert_int_equal(cc_json_next(&json), CC_JSON_OBJECT);
  while (cc_json_next_member(&json, &found) == CC_JSON_KEY)
    cc_buffer_printf(out, "%.*s:%.*s\n", (int)found.key.size - 2, found.key.data + 1,
                     (int)found.value.size - 2, found.value.data + 1);
  free(headers);
  // What the recording left out of the signed headers, the same for all.
  cc_buffer_printf(out,
                   "x-stainless-arch:x64\nx-stainless-lang:js\nx-stainless-os:Linux\n"
                   "x-stainless-package-version:%s\nx-stainless-retry-count:0\n"
                   "x-stainless-runtime:node\nx-stainless-runtime-version:v20.20.2\n"
                   "x-stainless-timeout:600\n",
                   version);
}

// The recorded signatures of bedrock-mantle cannot be had again (what the recording left out there
// is unknown): the rest of the line is compared.
static void golden_case(const char *line, const char *authorization, const char *version,
                        double time_ms) {
  struct vector vector;
  struct cc_buffer text = {0};
  char *url = member(line, "url"), *name = member(line, "name");
  bool mantle = strcmp(name, "mantle") == 0;
  cc_buffer_printf(&text, "POST %s HTTP/1.1\n", strchr(url + 8, '/'));
  golden_headers(&text, line, version);
  cc_buffer_add(&text, "", 1);
  vector_read(&vector, text.data);
  golden_body(&vector, line);
  vector.signer.service = cc_slice_text(mantle ? "bedrock-mantle" : "bedrock");
  vector.request.time_ms = time_ms;
  vector.request.options = CC_SIGV4_ENCODE | CC_SIGV4_NORMALIZE | CC_SIGV4_BODY_HEADER;
  struct cc_buffer lines = {0};
  assert_int_equal(cc_sigv4(&vector.request, "\n", &lines), CC_OK);
  char *got = line_value(&lines, "authorization");
  char *hash = line_value(&lines, "x-amz-content-sha256");
  char *sent = member(line, "headers.x-amz-content-sha256");
  assert_string_equal(hash, sent);
  if (mantle) got[strlen(got) - 64] = '\0';
  if (strncmp(got, authorization, strlen(got)) != 0 || strlen(got) < 64)
    fail_msg("%s\n-- got\n%s\n-- expected\n%s", name, got, authorization);
  free(got);
  free(hash);
  free(sent);
  free(url);
  free(name);
  free(vector.text);
  cc_buffer_free(&lines);
}

static int golden_file(const char *path, const char *version, double time_ms) {
  FILE *file = fopen(path, "r");
  char *line = NULL;
  size_t capacity = 0;
  int count = 0;
  while (getline(&line, &capacity, file) > 0) {
    char *authorization = member(line, "headers.authorization");
    if (authorization && strncmp(authorization, "AWS4-", 5) == 0) {
      golden_case(line, authorization, version, time_ms);
      count++;
    }
    free(authorization);
  }
  free(line);
  fclose(file);
  return count;
}

static void golden_vectors(void **state) {
  (void)state;
  need(GOLDEN "2026-10-21.jsonl");
  int count = golden_file(GOLDEN "2026-10-21.jsonl", "1.12.0", 1795394313e3) +
              golden_file(GOLDEN "2023-06-01.jsonl", "0.119.0", 1795394436e3);
  print_message("vectors: %d\n", count);
  assert_int_equal(count, 34);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(aws_vectors),
      cmocka_unit_test(boto_vectors),
      cmocka_unit_test(golden_vectors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
