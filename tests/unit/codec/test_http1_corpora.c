// SPDX-License-Identifier: Apache-2.0
// Verdicts of others about the same bytes. Every deliberate difference stands in a table with its
// reason; one that is not in it fails, and so does an entry that is no difference any more.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "codec/base64.h"
#include "http1_drive.h"
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

static char *read_all(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (!file) return NULL;
  struct cc_buffer all = {0};
  char piece[65536];
  size_t got;
  while ((got = fread(piece, 1, sizeof piece, file)) > 0)
    cc_buffer_add(&all, piece, got);
  fclose(file);
  *size = all.size;
  cc_buffer_add(&all, "", 1);
  return all.data;
}

static void need(const char *path) {
  if (access(path, R_OK) == 0) return;
  print_message("skipped: %s is not there\n", path);
  skip();
}

struct difference {
  const char *name;
  const char *reason;
  bool seen;
};

static bool explained(struct difference *rows, size_t count, const char *name) {
  for (size_t i = 0; i < count; i++) {
    if (strcmp(rows[i].name, name) != 0) continue;
    rows[i].seen = true;
    return true;
  }
  return false;
}

static void all_seen(const struct difference *rows, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (!rows[i].seen) fail_msg("no difference any more: %s (%s)", rows[i].name, rows[i].reason);
}

// ---- Http11Probe: one JSON object a line -------------------------------------------------------

static char *field(const char *line, const char *name) {
  char key[64];
  snprintf(key, sizeof key, "\"%s\": ", name);
  const char *at = strstr(line, key);
  if (!at) return NULL;
  at = strchr(at + strlen(key), '"');
  return at ? cc_copy_text(at + 1, strcspn(at + 1, "\"")) : NULL;
}

enum verdict { REFUSED, ACCEPTED, UNFINISHED };

static enum verdict judge(enum cc_http1_kind kind, const char *data, size_t size, bool *same) {
  struct drive how = {.kind = kind}, whole = how;
  drive(&whole, data, size, size, 0);
  char *log = drive_all(how, data, size, same);
  bool busy = strstr(log, "\nbusy") || strcmp(log, "busy\n") == 0;
  free(log);
  drive_free(&whole);
  if (whole.error) return REFUSED;
  return busy ? UNFINISHED : ACCEPTED;
}

// What the case expects of a server; a parser that leaves a message unfinished has its server
// wait and time out.
static bool probe_agrees(const char *expected, enum verdict verdict) {
  bool may_refuse = strstr(expected, "400") || strstr(expected, "close") ||
                    strstr(expected, "Reject") || strstr(expected, "505") ||
                    strstr(expected, "501");
  bool may_accept = strstr(expected, "2xx") || strstr(expected, "200") || strstr(expected, "101") ||
                    strstr(expected, "drop");
  if (strstr(expected, "2xx` + connection closed")) may_refuse = false;
  if (verdict == UNFINISHED) return strstr(expected, "timeout") != NULL;
  return verdict == REFUSED ? may_refuse : may_accept;
}

static void probe(void **state) {
  (void)state;
  static struct difference differences[] = {
      {"SMUG-EXPECT-100-CL-DESYNC",
       "the body is the five announced bytes whatever the client waits for; what follows is a "
       "request of its own",
       false},
      {"SMUG-GET-CL-BODY-DESYNC", "a GET with one valid Content-Length has a body of that size",
       false},
  };
  size_t count = sizeof differences / sizeof *differences;
  const char *path = TEST_CORPORA "/http1-http11probe/probe.jsonl";
  need(path);
  size_t size;
  char *text = read_all(path, &size), *rest = text, *line;
  int cases = 0, agree = 0;
  while ((line = strsep(&rest, "\n"))) {
    char *id = field(line, "id"), *raw = field(line, "raw_b64"),
         *expected = field(line, "expected");
    struct cc_buffer bytes = {0};
    if (id && raw && strstr(line, "\"raw_exact\": true") &&
        cc_base64_decode(&bytes, raw, strlen(raw)) && bytes.size) {
      bool same;
      enum verdict verdict = judge(CC_HTTP1_REQUEST, bytes.data, bytes.size, &same);
      cases++;
      if (!same) fail_msg("%s: the verdict depends on the cut", id);
      if (probe_agrees(expected, verdict))
        agree++;
      else if (!explained(differences, count, id))
        fail_msg("%s: expected %s, verdict %d", id, expected, verdict);
    }
    cc_buffer_free(&bytes);
    free(id);
    free(raw);
    free(expected);
  }
  free(text);
  print_message("probe: %d cases, %d agree\n", cases, agree);
  assert_true(cases > 90);
  all_seen(differences, count);
}

// ---- llhttp's own tests: markdown with the bytes and the callbacks ----------------------------

static void unescape(struct cc_buffer *out, const char *at, const char *end) {
  for (; at < end; at++) {
    if (*at == '\n') {
      cc_buffer_add(out, "\r\n", 2);
    } else if (*at != '\\' || at + 1 == end) {
      cc_buffer_add(out, at, 1);
    } else {
      static const char from[] = "rntf", to[] = "\r\n\t\f";
      const char *found = at[1] ? strchr(from, at[1]) : NULL;
      unsigned code;
      if (at[1] == '\n') {
        at++;
      } else if (found) {
        cc_buffer_add(out, &to[found - from], 1);
        at++;
      } else if (at[1] == 'x' && sscanf(at + 2, "%2x", &code) == 1) {
        char byte = (char)code;
        cc_buffer_add(out, &byte, 1);
        at += 3;
      } else {
        cc_buffer_add(out, at, 1);
      }
    }
  }
}

static bool has_host(const struct cc_buffer *text) {
  for (size_t i = 0; i + 6 < text->size; i++)
    if (text->data[i] == '\n' && strncasecmp(text->data + i + 1, "host:", 5) == 0) return true;
  return false;
}

// The cases are older than the duty to send a Host.
static void add_host(struct cc_buffer *text) {
  char *line = memmem(text->data, text->size, "\r\n", 2);
  if (!line || has_host(text)) return;
  struct cc_buffer with = {0};
  size_t first = (size_t)(line + 2 - text->data);
  cc_buffer_add(&with, text->data, first);
  cc_buffer_add_text(&with, "Host: h\r\n");
  cc_buffer_add(&with, text->data + first, text->size - first);
  cc_buffer_free(text);
  *text = with;
}

static bool llhttp_refuses(const char *log, const char *end) {
  const char *error = memmem(log, (size_t)(end - log), "error code=", 11);
  int code = error ? atoi(error + 11) : 0;
  return code && code != 21 && code != 22 && code != 23; // pauses
}

struct tally {
  int cases, agree;
  struct difference *differences;
  size_t count;
};

static void one_case(struct tally *tally, const char *file, const char *title, bool request,
                     struct cc_buffer *text, bool refuses) {
  enum cc_http1_kind kind = request ? CC_HTTP1_REQUEST : CC_HTTP1_RESPONSE;
  bool same;
  if (request) add_host(text);
  enum verdict verdict = judge(kind, text->data, text->size, &same);
  if (!same) fail_msg("%s: the verdict depends on the cut", title);
  if (refuses && verdict == UNFINISHED) { // we look at the whole of a head
    cc_buffer_add_text(text, "\r\n\r\n");
    verdict = judge(kind, text->data, text->size, &same);
    if (!same) fail_msg("%s: the verdict depends on the cut", title);
  }
  char name[700];
  snprintf(name, sizeof name, "%s/%s: %s", request ? "request" : "response", file, title);
  tally->cases++;
  if (refuses == (verdict == REFUSED))
    tally->agree++;
  else if (!explained(tally->differences, tally->count, name))
    fail_msg("%s: llhttp %s, we do not", name, refuses ? "refuses" : "accepts");
}

static void one_block(struct tally *tally, const char *file, const char *title, const char *meta) {
  const char *meta_end = strstr(meta, "-->"), *http = strstr(meta, "```http\n");
  bool request = memmem(meta, (size_t)(meta_end - meta), "\"request\"", 9) != NULL;
  bool response = memmem(meta, (size_t)(meta_end - meta), "\"response\"", 10) != NULL;
  bool other = memmem(meta, (size_t)(meta_end - meta), "pause", 5) ||
               memmem(meta, (size_t)(meta_end - meta), "skipBody", 8);
  if ((!request && !response) || other || !http) return;
  const char *end = strstr(http + 8, "```"), *log = strstr(end, "```log\n");
  if (!log) return;
  struct cc_buffer text = {0};
  unescape(&text, http + 8, end[-1] == '\n' ? end - 1 : end);
  one_case(tally, file, title, request, &text, llhttp_refuses(log, strstr(log + 7, "```")));
  cc_buffer_free(&text);
}

static void one_file(struct tally *tally, const char *folder, const char *file) {
  char path[700], title[200] = "";
  size_t size;
  snprintf(path, sizeof path, "%s/%s", folder, file);
  char *text = read_all(path, &size);
  assert_non_null(text);
  bool code = false;
  for (char *at = text; at && *at; at = strchr(at, '\n'), at = at ? at + 1 : NULL) {
    if (strncmp(at, "```", 3) == 0) code = !code;
    if (code) continue;
    if (*at == '#') {
      while (*at == '#' || *at == ' ')
        at++;
      snprintf(title, sizeof title, "%.*s", (int)strcspn(at, "\n"), at);
    }
    if (strncmp(at, "<!-- meta=", 10) == 0) one_block(tally, file, title, at);
  }
  free(text);
}

#define METHOD     "a method nobody here serves"
#define CLOSED     "bytes after a message that closes are the owner's to drop"
#define ZERO       "leading zeros read as octal elsewhere"
#define CODING     "any transfer coding but chunked alone is refused"
#define EMPTY      "an empty line before a message is refused"
#define SWITCH     "a protocol switch is never done"
#define OTHER_HOST "the authority of the target differs from Host"
#define NO_HOST    "the second request has no Host"
#define TABS       "llhttp before 9.4 refuses a tab after the number"

static struct difference llhttp_differences[] = {
    {"request/content-length.md: `Content-Length` with zeroes", ZERO, false},
    {"request/content-length.md: `Content-Length` with follow-up headers", ZERO, false},
    {"request/content-length.md: Tabs in `Content-Length` (surrounding)", TABS, false},
    {"request/connection.md: Restarting when keep-alive is explicitly", NO_HOST, false},
    {"request/connection.md: CRLF between requests, implicit `keep-alive`", EMPTY, false},
    {"request/uri.md: `host:port` terminated by a query string", OTHER_HOST, false},
    {"request/uri.md: `host:port` terminated by a space", OTHER_HOST, false},
    {"request/uri.md: `host:port` and basic auth", "user information in a target", false},
    {"request/uri.md: Fragment in URI", "a fragment is not sent", false},
    {"response/content-length.md: Tabs in `Content-Length` (surrounding)", TABS, false},
    {"request/method.md: REPORT request", METHOD, false},
    {"request/method.md: CONNECT request", SWITCH, false},
    {"request/method.md: CONNECT request with CAPS", SWITCH, false},
    {"request/method.md: CONNECT with body", SWITCH, false},
    {"request/method.md: M-SEARCH request", METHOD, false},
    {"request/method.md: PURGE request", METHOD, false},
    {"request/method.md: SEARCH request", METHOD, false},
    {"request/method.md: LINK request", METHOD, false},
    {"request/method.md: SOURCE request", METHOD, false},
    {"request/method.md: SOURCE request with ICE", METHOD, false},
    {"request/method.md: OPTIONS request with RTSP", METHOD, false},
    {"request/method.md: ANNOUNCE request with RTSP", METHOD, false},
    {"request/method.md: PRI request HTTP2", METHOD, false},
    {"request/method.md: QUERY request", METHOD, false},
    {"request/pipelining.md: Should parse multiple events", EMPTY, false},
    {"request/sample.md: Prefix newline", EMPTY, false},
    {"request/sample.md: Request starting with CRLF", EMPTY, false},
    {"request/sample.md: No HTTP version", "HTTP/0.9", false},
    {"request/transfer-encoding.md: POST with `chunked` as last transfer-encoding", CODING, false},
    {"request/transfer-encoding.md: POST with `chunked` as last transfer-encoding (multiple "
     "headers)",
     CODING, false},
    {"request/uri.md: Host terminated by a query string", OTHER_HOST, false},
    {"request/uri.md: Underscore in hostname", SWITCH, false},
    {"response/connection.md: HTTP/1.1 with keep-alive disabled and 204 status", CLOSED, false},
    {"response/connection.md: HTTP 101 response with Upgrade and Content-Length header", SWITCH,
     false},
    {"response/connection.md: HTTP 101 response with Upgrade and Transfer-Encoding header", SWITCH,
     false},
    {"response/connection.md: HTTP 304 with Content-Length", EMPTY, false},
    {"response/connection.md: HTTP 100 first, then 400", EMPTY, false},
    {"response/pipelining.md: Should parse multiple events", EMPTY, false},
    {"response/sample.md: RTSP response", "another protocol", false},
    {"response/sample.md: ICE response", "another protocol", false},
    {"response/sample.md: HTTP version 0.9", "HTTP/0.9", false},
    {"response/sample.md: Response starting with CRLF", EMPTY, false},
    {"response/transfer-encoding.md: `chunked` before other transfer-encoding", CODING, false},
    {"response/transfer-encoding.md: multiple transfer-encoding where chunked is not the last one",
     CODING, false},
    {"response/transfer-encoding.md: `chunkedchunked` transfer-encoding does not enable chunked "
     "enconding",
     CODING, false},
};

static void llhttp_tests(void **state) {
  (void)state;
  static const char *const folders[] = {"request", "response"};
  struct tally tally = {.differences = llhttp_differences,
                        .count = sizeof llhttp_differences / sizeof *llhttp_differences};
  for (int i = 0; i < 2; i++) {
    char folder[300];
    snprintf(folder, sizeof folder, TEST_CORPORA "/http1-llhttp/test/%s", folders[i]);
    need(folder);
    DIR *dir = opendir(folder);
    for (struct dirent *entry; (entry = readdir(dir));)
      if (strstr(entry->d_name, ".md")) one_file(&tally, folder, entry->d_name);
    closedir(dir);
  }
  print_message("llhttp: %d cases, %d agree\n", tally.cases, tally.agree);
  assert_true(tally.cases > 150);
  all_seen(tally.differences, tally.count);
}

// ---- Fuzzing seeds: any bytes, one verdict -----------------------------------------------------

static void seeds(void **state) {
  (void)state;
  const char *archive = TEST_CORPORA "/http1-go-fuzz-seeds/httpreq-httpresp.tar.gz";
  need(archive);
  FILE *tar = popen("gzip -dc " TEST_CORPORA "/http1-go-fuzz-seeds/httpreq-httpresp.tar.gz", "r");
  char block[512];
  int files = 0, accepted = 0;
  while (fread(block, 1, sizeof block, tar) == sizeof block && block[0]) {
    size_t size = strtoul(block + 124, NULL, 8), room = (size + 511) / 512 * 512;
    bool plain = block[156] == '0' || block[156] == '\0', same;
    enum cc_http1_kind kind = strstr(block, "httpresp") ? CC_HTTP1_RESPONSE : CC_HTTP1_REQUEST;
    char *data = malloc(room + 1);
    assert_int_equal(fread(data, 1, room, tar), room);
    if (plain && strstr(block, "/corpus/") && size <= 20000) {
      files++;
      if (judge(kind, data, size, &same) == ACCEPTED) accepted++;
      if (!same) fail_msg("%.100s: the verdict depends on the cut", block);
    }
    free(data);
  }
  pclose(tar);
  print_message("seeds: %d files, %d accepted\n", files, accepted);
  assert_true(files > 2000);
  assert_true(accepted > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(probe),
      cmocka_unit_test(llhttp_tests),
      cmocka_unit_test(seeds),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
