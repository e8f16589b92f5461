// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "http1_drive.h"

struct row {
  const char *text;
  const char *log;
};

static void check_rows(enum cc_http1_kind kind, const struct row *rows, size_t count, bool finish) {
  for (size_t i = 0; i < count; i++) {
    struct drive how = {.kind = kind, .finish = finish};
    bool same;
    char *log = drive_all(how, rows[i].text, strlen(rows[i].text), &same);
    if (strcmp(log, rows[i].log) != 0) print_error("row %zu: %s\n", i, rows[i].text);
    assert_string_equal(log, rows[i].log);
    assert_true(same);
    free(log);
  }
}

#define ROWS(kind, rows, finish) check_rows(kind, rows, sizeof(rows) / sizeof *(rows), finish)

static void good_requests(void **state) {
  (void)state;
  static const struct row rows[] = {
      {"", "idle\n"},
      {"GET /a?b=c HTTP/1.1\r\nHost: x.y:80\r\n\r\n",
       "GET /a ?b=c @x.y:80 1.1 keep -1 {Host=x.y:80}\nend\nidle\n"},
      {"GET / HTTP/1.1\r\nHost:x\r\nA: \t b c \t\r\nE:\r\nF: \r\n\r\n",
       "GET / ? @x 1.1 keep -1 {Host=x} {A=b c} {E=} {F=}\nend\nidle\n"},
      {"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: "
       "y\r\n\r\n",
       "POST / ? @x 1.1 keep body 3 {host=x} {content-length=3}\nbody abc\nend\n"
       "GET / ? @y 1.1 keep -1 {Host=y}\nend\nidle\n"},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
       "POST / ? @x 1.1 keep 0 {Host=x} {Content-Length=0}\nend\nidle\n"},
      {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 2 \r\n\r\nab",
       "GET / ? @x 1.1 keep body 2 {Host=x} {Content-Length=2}\nbody ab\nend\nidle\n"},
      {"GET / HTTP/1.0\r\n\r\n", "GET / ? @ 1.0 -1\nend\nidle\n"},
      {"GET / HTTP/1.0\r\nConnection: x, Keep-Alive\r\n\r\n",
       "GET / ? @ 1.0 keep -1 {Connection=x, Keep-Alive}\nend\nidle\n"},
      {"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\nConnection: CLOSE\r\n\r\n",
       "GET / ? @x 1.1 -1 {Host=x} {Connection=keep-alive} {Connection=CLOSE}\nend\nidle\n"},
      {"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "OPTIONS * ? @x 1.1 keep -1 {Host=x}\nend\nidle\n"},
      {"GET http://X:1/p?q HTTP/1.1\r\nHost: x:1\r\n\r\n",
       "GET /p ?q @X:1 1.1 keep -1 {Host=x:1}\nend\nidle\n"},
      {"GET HTTPS://x?q HTTP/1.1\r\nHost: x\r\n\r\n",
       "GET / ?q @x 1.1 keep -1 {Host=x}\nend\nidle\n"},
      {"GET http://x HTTP/1.0\r\n\r\n", "GET / ? @x 1.0 -1\nend\nidle\n"},
      {"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
       "GET / ? @[::1]:80 1.1 keep -1 {Host=[::1]:80}\nend\nidle\n"},
      {"GET / HTTP/1.1\r\nHost: x\r\nContent_Length: 5\r\nX_Y: z\r\nA: b\r\n\r\n",
       "GET / ? @x 1.1 keep -1 {Host=x} {A=b}\nend\nidle\n"},
      {"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nGET",
       "GET / ? @x 1.1 keep -1 {Host=x} {Connection=upgrade} {Upgrade=websocket}\nend\nbusy\n"},
      {"GET / HTTP/1.1\r\nHost: x\r\nX: \xc3\xa4\r\n\r\n",
       "GET / ? @x 1.1 keep -1 {Host=x} {X=\xc3\xa4}\nend\nidle\n"},
      {"PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n",
       "PUT / ? @x 1.1 keep expect body 1 {Host=x} {Expect=100-Continue} "
       "{Content-Length=1}\nbusy\n"},
      {"PUT / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n",
       "PUT / ? @ 1.0 -1 {Expect=100-continue}\nend\nidle\n"},
  };
  ROWS(CC_HTTP1_REQUEST, rows, false);
}

#define CHUNKED     "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n"
#define CHUNKED_LOG "POST / ? @x 1.1 keep chunked body -1 {Host=x} {Transfer-Encoding=Chunked}\n"

static void chunks(void **state) {
  (void)state;
  static const struct row rows[] = {
      {CHUNKED "3\r\nabc\r\n0A\r\n0123456789\r\n0\r\n\r\n",
       CHUNKED_LOG "body abc0123456789\nend\nidle\n"},
      {CHUNKED "000\r\n\r\n", CHUNKED_LOG "end\nidle\n"},
      {CHUNKED "1;a;b=c;d=\"e;\\\"f\tg\"\r\nx\r\n0;y=\"\"\r\nT: u\r\nV:\r\n\r\nG",
       CHUNKED_LOG "body x\nend\nbusy\n"},
      {CHUNKED "1\r\nx\r\n", CHUNKED_LOG "body x\nbusy\n"},
      {CHUNKED "0\r\nX_Y: z\r\n\r\n", CHUNKED_LOG "end\nidle\n"},
      {CHUNKED "0\r\nConnection: upgrade\r\nUpgrade: z\r\n\r\n", CHUNKED_LOG "end\nidle\n"},
      {CHUNKED "0\r\nHost: evil\r\nAuthorization: Bearer x\r\n\r\n", CHUNKED_LOG "end\nidle\n"},
      {"POST / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: y\r\n"
       "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
       "POST / ? @x 1.1 keep chunked body -1 {Host=x} {Connection=upgrade} {Upgrade=y} "
       "{Transfer-Encoding=chunked}\nbody x\nend\nidle\n"},
      {CHUNKED "\r\n", CHUNKED_LOG "CC_EHTTP\n"},
      {CHUNKED "0x1\r\n", CHUNKED_LOG "CC_EHTTP\n"},
      {CHUNKED "+1\r\n", CHUNKED_LOG "CC_EHTTP\n"},
      {CHUNKED "1 \r\nx\r\n", CHUNKED_LOG "CC_EHTTP\n"},
      {CHUNKED "1;\r\nx\r\n", CHUNKED_LOG "CC_EHTTP\n"},
      {CHUNKED "1; a\r\nx\r\n", CHUNKED_LOG "CC_EHTTP\n"},
      {CHUNKED "1;a=\r\nx\r\n", CHUNKED_LOG "CC_EHTTP\n"},
      {CHUNKED "1;a=\"b\"c\r\nx\r\n", CHUNKED_LOG "CC_EHTTP\n"},
      {CHUNKED "1;a=\"\x01\"\r\nx\r\n", CHUNKED_LOG "CC_EHTTP\n"},
      {CHUNKED "1\nx\r\n", CHUNKED_LOG "CC_EHTTP\n"},
      {CHUNKED "1\rx\r\n", CHUNKED_LOG "CC_EHTTP\n"},
      {CHUNKED "1\r\nxy\r\n", CHUNKED_LOG "body x\nCC_EHTTP\n"},
      {CHUNKED "1\r\nx\n0\r\n", CHUNKED_LOG "body x\nCC_EHTTP\n"},
      {CHUNKED "1\r\nx\rz0\r\n", CHUNKED_LOG "body x\nCC_EHTTP\n"},
      {CHUNKED "fffffffffffff\r\n", CHUNKED_LOG "busy\n"},
      {CHUNKED "10000000000000\r\n", CHUNKED_LOG "CC_EHTTP\n"},
      {CHUNKED "10000000000000000\r\n", CHUNKED_LOG "CC_EHTTP\n"},
      {CHUNKED "1000000000000000\r\n", CHUNKED_LOG "CC_EHTTP\n"},
      {CHUNKED "00000000000000001\r\nx\r\n", CHUNKED_LOG "CC_EHTTP\n"},
      {CHUNKED "0\r\nContent-length: 5\r\n\r\n", CHUNKED_LOG "CC_EHTTP\n"},
      {CHUNKED "0\r\nTransfer-Encoding: chunked\r\n\r\n", CHUNKED_LOG "CC_EHTTP\n"},
      {CHUNKED "0\r\nA : b\r\n\r\n", CHUNKED_LOG "CC_EHTTP\n"},
      {CHUNKED "0\r\nA\r\n\r\n", CHUNKED_LOG "CC_EHTTP\n"},
      {CHUNKED "0\r\n: b\r\n\r\n", CHUNKED_LOG "CC_EHTTP\n"},
      {CHUNKED "0\r\nA: b\r\n c\r\n\r\n", CHUNKED_LOG "CC_EHTTP\n"},
      {CHUNKED "0\r\nA: b\n\r\n", CHUNKED_LOG "CC_EHTTP\n"},
      {CHUNKED "0\r\n\n", CHUNKED_LOG "CC_EHTTP\n"},
  };
  ROWS(CC_HTTP1_REQUEST, rows, false);
}

// Each of these must end in this error whatever the cut, with nothing told before.
static void check_refused(int error, const char *const *texts, size_t count) {
  for (size_t i = 0; i < count; i++) {
    struct drive how = {.kind = CC_HTTP1_REQUEST};
    bool same;
    char expected[40];
    snprintf(expected, sizeof expected, "%s\n", cc_error_name(error));
    char *log = drive_all(how, texts[i], strlen(texts[i]), &same);
    if (strcmp(log, expected) != 0) print_error("refused row %zu: %s\n", i, texts[i]);
    assert_string_equal(log, expected);
    assert_true(same);
    free(log);
  }
}

#define GET "GET / HTTP/1.1\r\nHost: x\r\n"

static void bad_requests(void **state) {
  (void)state;
  static const char *const texts[] = {
      "\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
      "\nGET / HTTP/1.1\r\n",
      " GET / HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET /  HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET / HTTP/1.1 \r\nHost: x\r\n\r\n",
      "GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET / HTTP/1.1\nHost: x\r\n\r\n",
      "GET / HTTP/1.1\rHost: x\r\n\r\n",
      "GET /\r\n",
      "GET / HTTP/1.2\r\n",
      "GET / HTTP/2.0\r\n",
      "GET / HTTP/0.9\r\n",
      "GET / HTTP/01.1\r\n",
      "GET / HTTP/1.10\r\n",
      "GET / http/1.1\r\n",
      "GET / ICE/1.0\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      "get / HTTP/1.1\r\n",
      "FOOBAR / HTTP/1.1\r\n",
      "PROPFIND / HTTP/1.1\r\n",
      "GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
      "GET / HTTP/1.1\r\n Host: x\r\n\r\n",
      GET "A : b\r\n\r\n",
      GET "A\r\n\r\n",
      GET ": b\r\n\r\n",
      GET "A\x01: b\r\n\r\n",
      GET "A: b\x7f\r\n\r\n",
      GET "A: b\rContent-Length: 5\r\n\r\n",
      GET "A: \rContent-Length: 5\r\n\r\n",
      GET "A: b\n\r\n",
      GET "A: b\r\n\n",
      GET "A\xc3\xa4: b\r\n\r\n",
      GET "A@: b\r\n\r\n",
      GET "A\tB: c\r\n\r\n",
      // Host
      "GET / HTTP/1.1\r\n\r\n",
      GET "Host: x\r\n\r\n",
      GET "host: y\r\n\r\n",
      "GET / HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n",
      "GET / HTTP/1.1\r\nHost:\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: x/p\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: u@x\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: x,y\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: x y\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: x:y\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: x:65536\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: x:1:2\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: :80\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: [x]\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: ::1\r\n\r\n",
      // target
      "GET * HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET a HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET /a?%0d HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET /%0A HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET /\xc3\xa4 HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET /\x7f HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET http://u@x/ HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET http:/// HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET http://x?a#b HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
      // framing
      GET "Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
      GET "Content-Length: 1\r\nContent-Length: 2\r\n\r\na",
      GET "Content-Length: 1, 1\r\n\r\na",
      GET "Content-Length:\r\n\r\n",
      GET "Content-Length: -1\r\n\r\n",
      GET "Content-Length: +1\r\n\r\na",
      GET "Content-Length: 01\r\n\r\na",
      GET "Content-Length: 0x1\r\n\r\na",
      GET "Content-Length: 1 1\r\n\r\na",
      GET "Content-Length: 1.0\r\n\r\na",
      GET "Content-Length: 1000000000000000\r\n\r\na",
      GET "Content-Length: 18446744073709551617\r\n\r\na",
      GET "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      GET "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
      GET "Transfer-Encoding:\r\n\r\n",
      GET "Transfer-Encoding: identity\r\n\r\n",
      GET "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
      GET "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
      GET "Transfer-Encoding: , chunked\r\n\r\n0\r\n\r\n",
      GET "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
      GET "Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n",
      GET "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      GET "Transfer-Encoding: \x0b"
          "chunked\r\n\r\n0\r\n\r\n",
      "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      GET "Expect: more\r\nContent-Length: x\r\n\r\n",
  };
  check_refused(CC_EHTTP, texts, sizeof texts / sizeof *texts);
}

static void other_refusals(void **state) {
  (void)state;
  static const char *const upgrades[] = {"CONNECT x:1 HTTP/1.1\r\n", "CONNECT / HTTP/1.0\r\n"};
  static const char *const expects[] = {GET "Expect: more\r\n\r\n", GET "Expect:\r\n\r\n",
                                        GET "Expect: 100-continue\r\nExpect: x\r\n\r\n"};
  check_refused(CC_EUPGRADE, upgrades, 2);
  check_refused(CC_EEXPECT, expects, 3);
}

static void nul_bytes(void **state) {
  (void)state;
  static const char text[] = GET "A: b\r\n\r\n";
  for (size_t at = 0; at < sizeof text - 1; at++) {
    char copy[sizeof text];
    struct drive how = {.kind = CC_HTTP1_REQUEST};
    bool same;
    memcpy(copy, text, sizeof text);
    copy[at] = '\0';
    char *log = drive_all(how, copy, sizeof copy - 1, &same);
    assert_string_equal(log, "CC_EHTTP\n");
    assert_true(same);
    free(log);
  }
}

static void good_responses(void **state) {
  (void)state;
  static const struct row rows[] = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab",
       "200 1.1 keep body 2 {Content-Length=2}\nbody ab\nend\nidle\nnothing\n"},
      {"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
       "200 1.1 keep 0 {Content-Length=0}\nend\nidle\nnothing\n"},
      {"HTTP/1.1 200 \r\nX_Y: z\r\n\r\nabc",
       "200 1.1 close body -1 {X_Y=z}\nbody abc\nbusy\nfinished\n"},
      {"HTTP/1.0 404 a b\tc\r\n\r\n", "404 1.0 close body -1\nbusy\nfinished\n"},
      {"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nHTTP/1.1 304 N\r\n\r\n",
       "204 1.1 keep 5 {Content-Length=5}\nend\n304 1.1 keep -1\nend\nidle\nnothing\n"},
      {"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\nLink: a\r\n\r\nHTTP/1.1 200 K\r\n"
       "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
       "100 1.1 keep -1\n103 1.1 keep -1 {Link=a}\n200 1.1 keep chunked body -1 "
       "{Transfer-Encoding=chunked}\nbody x\nend\nidle\nnothing\n"},
      {"HTTP/1.1 200 K\r\nContent-Length: 5\r\n\r\nab",
       "200 1.1 keep body 5 {Content-Length=5}\nbody ab\nbusy\nCC_EEOF\n"},
      {"HTTP/1.1 200 K\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n",
       "200 1.1 keep chunked body -1 {Transfer-Encoding=chunked}\nbody x\nbusy\nCC_EEOF\n"},
      {"HTTP/1.1 100 C\r\n\r\n", "100 1.1 keep -1\nbusy\nCC_EEOF\n"},
      {"HTTP/1.1 20", "busy\nCC_EEOF\n"},
      {"", "idle\nnothing\n"},
  };
  ROWS(CC_HTTP1_RESPONSE, rows, true);
}

static void bad_responses(void **state) {
  (void)state;
  static const struct row rows[] = {
      {"HTTP/1.1 101 S\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n", "CC_EUPGRADE\n"},
      {"HTTP/1.1 200 K\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "CC_EHTTP\n"},
      {"HTTP/1.1 200 K\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "CC_EHTTP\n"},
      {"HTTP/1.1 200 K\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "CC_EHTTP\n"},
      {"HTTP/1.0 200 K\r\nTransfer-Encoding: chunked\r\n\r\n", "CC_EHTTP\n"},
      {"HTTP/1.1 200 K\r\nA: b\r\n c\r\n\r\n", "CC_EHTTP\n"},
      {"HTTP/1.1 200K\r\n", "CC_EHTTP\n"},
      {"HTTP/1.1 099 K\r\n", "CC_EHTTP\n"},
      {"HTTP/1.1 600 K\r\n", "CC_EHTTP\n"},
      {"HTTP/1.1  200 K\r\n", "CC_EHTTP\n"},
      {"HTTP/1.1 20 K\r\n", "CC_EHTTP\n"},
      {"HTTP/2 200 K\r\n", "CC_EHTTP\n"},
      {"ICE/1.1 200 K\r\n", "CC_EHTTP\n"},
      {"200 K\r\n", "CC_EHTTP\n"},
      {"\r\nHTTP/1.1 200 K\r\n\r\n", "CC_EHTTP\n"},
  };
  ROWS(CC_HTTP1_RESPONSE, rows, false);
}

static void no_body_after_head(void **state) {
  (void)state;
  struct drive how = {.kind = CC_HTTP1_RESPONSE, .bodyless = true};
  const char *text = "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 K\r\nContent-Length: 5\r\n\r\n"
                     "HTTP/1.1 200 K\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 200 K\r\n\r\n";
  bool same;
  char *log = drive_all(how, text, strlen(text), &same);
  assert_string_equal(log, "100 1.1 keep -1\n200 1.1 keep 5 {Content-Length=5}\nend\n"
                           "200 1.1 keep chunked -1 {Transfer-Encoding=chunked}\nend\n"
                           "200 1.1 keep -1\nend\nidle\n");
  assert_true(same);
  free(log);
}

static void interim_responses_are_bounded(void **state) {
  (void)state;
  for (int count = 16; count <= 17; count++) {
    struct cc_buffer text = {0};
    struct drive how = {.kind = CC_HTTP1_RESPONSE};
    for (int i = 0; i < count; i++)
      cc_buffer_add_text(&text, "HTTP/1.1 100 C\r\n\r\n");
    cc_buffer_add_text(&text, "HTTP/1.1 204 N\r\n\r\n");
    drive(&how, text.data, text.size, text.size, 0);
    assert_int_equal(how.error, count == 16 ? CC_OK : CC_EHTTP);
    assert_int_equal(how.heads, count == 16 ? 17 : 16);
    drive_free(&how);
    cc_buffer_free(&text);
  }
}

// ---- Bounds ------------------------------------------------------------------------------------

static int verdict(struct cc_buffer *text, const struct cc_http1_limits *limits, bool *same) {
  struct drive how = {.kind = CC_HTTP1_REQUEST, .limits = limits};
  struct drive whole = how;
  drive(&whole, text->data, text->size, text->size, 0);
  char *log = drive_all(how, text->data, text->size, same);
  free(log);
  drive_free(&whole);
  cc_buffer_free(text);
  return whole.error;
}

static void heads_are_bounded(void **state) {
  (void)state;
  const struct cc_http1_limits limits = {200, 5, 20};
  for (int over = 0; over < 2; over++) {
    struct cc_buffer text = {0};
    bool same;
    cc_buffer_add_text(&text, GET "A: ");
    while (text.size < 200u - 4 + (unsigned)over)
      cc_buffer_add(&text, "x", 1);
    cc_buffer_add_text(&text, "\r\n\r\n");
    assert_int_equal(verdict(&text, &limits, &same), over ? CC_EHEAD_SIZE : CC_OK);
    assert_true(same);
    cc_buffer_add_text(&text, GET);
    for (int i = 0; i < 4 + over; i++)
      cc_buffer_add_text(&text, "A: b\r\n");
    cc_buffer_add_text(&text, "\r\n");
    assert_int_equal(verdict(&text, &limits, &same), over ? CC_EHEAD_SIZE : CC_OK);
    assert_true(same);
    cc_buffer_add_text(&text, "GET /");
    for (int i = 0; i < 19 + over; i++)
      cc_buffer_add_text(&text, "a");
    cc_buffer_add_text(&text, " HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(verdict(&text, &limits, &same), over ? CC_ETARGET_SIZE : CC_OK);
    assert_true(same);
  }
}

// An endless head is refused long before it ends, and never kept.
static void endless_heads(void **state) {
  (void)state;
  static const char *const starts[] = {"A", "GET /", GET "A: ", GET};
  static const char *const parts[] = {"A", "a", "b", "A: b\r\n"};
  static const int errors[] = {CC_EHEAD_SIZE, CC_ETARGET_SIZE, CC_EHEAD_SIZE, CC_EHEAD_SIZE};
  for (int i = 0; i < 4; i++) {
    struct cc_http1 *parser = cc_http1_new(CC_HTTP1_REQUEST, &drive_limits);
    const char *data = starts[i];
    size_t size = strlen(data), total = size;
    struct cc_slice body;
    int step = cc_http1_next(parser, &data, &size, &body);
    while (step == CC_HTTP1_MORE && total < 1000000) {
      data = parts[i];
      total += size = strlen(data);
      step = cc_http1_next(parser, &data, &size, &body);
    }
    assert_int_equal(step, errors[i]);
    assert_true(total <= 65536 + 6);
    assert_null(cc_http1_head(parser));
    size = 4;
    assert_int_equal(cc_http1_next(parser, &data, &size, &body), CC_EHTTP);
    cc_http1_free(parser);
  }
}

static void trailers_and_extensions_are_bounded(void **state) {
  (void)state;
  const struct cc_http1_limits limits = {4000, 5, 20};
  for (int over = 0; over < 2; over++) {
    struct cc_buffer text = {0};
    bool same;
    cc_buffer_add_text(&text, CHUNKED "0\r\n");
    for (int i = 0; i < 5 + over; i++)
      cc_buffer_add_text(&text, "A: b\r\n");
    cc_buffer_add_text(&text, "\r\n");
    assert_int_equal(verdict(&text, &limits, &same), over ? CC_EHEAD_SIZE : CC_OK);
    assert_true(same);
    cc_buffer_add_text(&text, CHUNKED "1;");
    for (int i = 0; i < 1023 + over; i++)
      cc_buffer_add_text(&text, "a");
    cc_buffer_add_text(&text, "\r\nx\r\n0\r\n\r\n");
    assert_int_equal(verdict(&text, &limits, &same), over ? CC_EHTTP : CC_OK);
    assert_true(same);
    cc_buffer_add_text(&text, CHUNKED);
    for (int i = 0; i < 4096 + over; i++) // each extension counts with what follows it: 4 bytes
      cc_buffer_add_text(&text, "1;abc\r\nx\r\n");
    cc_buffer_add_text(&text, "0\r\n\r\n");
    assert_int_equal(verdict(&text, &limits, &same), over ? CC_EHTTP : CC_OK);
    assert_true(same);
  }
}

// ---- Interface ---------------------------------------------------------------------------------

static void bodies_are_not_copied(void **state) {
  (void)state;
  struct cc_http1 *parser = cc_http1_new(CC_HTTP1_REQUEST, &drive_limits);
  const char *text = GET "Content-Length: 10\r\n\r\nabcdef", *data = text;
  size_t size = strlen(text);
  struct cc_slice body;
  assert_int_equal(cc_http1_next(parser, &data, &size, &body), CC_HTTP1_HEAD);
  assert_int_equal(cc_http1_next(parser, &data, &size, &body), CC_HTTP1_BODY);
  assert_ptr_equal(body.data, text + strlen(text) - 6);
  assert_int_equal(body.size, 6);
  assert_int_equal(cc_http1_next(parser, &data, &size, &body), CC_HTTP1_MORE);
  assert_true(cc_http1_busy(parser));
  cc_http1_free(parser);
}

static void head_lives_until_reset(void **state) {
  (void)state;
  struct cc_http1 *parser = cc_http1_new(CC_HTTP1_REQUEST, &drive_limits);
  char *text = strdup(GET "a: 1\r\nA: 2\r\nb: 3\r\n\r\n");
  const char *data = text;
  size_t size = strlen(text);
  struct cc_slice body;
  assert_null(cc_http1_head(parser));
  assert_int_equal(cc_http1_next(parser, &data, &size, &body), CC_HTTP1_HEAD);
  free(text);
  const struct cc_http1_head *head = cc_http1_head(parser);
  assert_true(cc_slice_is(cc_http1_find(head, cc_slice_text("A"))->value, "1"));
  assert_true(cc_slice_is(cc_http1_find(head, cc_slice_text("B"))->value, "3"));
  assert_null(cc_http1_find(head, cc_slice_text("c")));
  assert_int_equal(cc_http1_next(parser, &data, &size, &body), CC_HTTP1_END);
  assert_int_equal(cc_http1_next(parser, &data, &size, &body), CC_HTTP1_END);
  assert_true(cc_slice_is(head->method, "GET"));
  cc_http1_reset(parser);
  assert_null(cc_http1_head(parser));
  assert_false(cc_http1_busy(parser));
  cc_http1_free(parser);
}

static void refused_head_is_not_shown(void **state) {
  (void)state;
  struct cc_http1 *parser = cc_http1_new(CC_HTTP1_REQUEST, &drive_limits);
  const char *data = GET "Host: x\r\n\r\n";
  size_t size = strlen(data);
  struct cc_slice body;
  assert_int_equal(cc_http1_next(parser, &data, &size, &body), CC_EHTTP);
  assert_null(cc_http1_head(parser));
  assert_int_equal(cc_http1_finish(parser), CC_EHTTP);
  cc_http1_reset(parser);
  size = 0;
  assert_int_equal(cc_http1_next(parser, &data, &size, &body), CC_EHTTP);
  cc_http1_free(parser);
}

static void texts_for_heads(void **state) {
  (void)state;
  assert_true(cc_http1_is_token(cc_slice_text("a-Z0!#$%&'*+.^_`|~")));
  assert_false(cc_http1_is_token(cc_slice_text("")));
  assert_false(cc_http1_is_token(cc_slice_text("a b")));
  assert_false(cc_http1_is_token(cc_slice_text("a:")));
  assert_false(cc_http1_is_token(cc_slice_text("\xc3")));
  assert_true(cc_http1_is_value(cc_slice_text("")));
  assert_true(cc_http1_is_value(cc_slice_text("a\tb \xc3\xa4")));
  assert_false(cc_http1_is_value(cc_slice_text("a\rb")));
  assert_false(cc_http1_is_value(cc_slice_text("a\nb")));
  assert_false(cc_http1_is_value(cc_slice_text("\x7f")));
  assert_false(cc_http1_is_value(cc_slice("a\0b", 3)));
  assert_true(cc_http1_is_target(cc_slice_text("/a?b=%20")));
  assert_false(cc_http1_is_target(cc_slice_text("")));
  assert_false(cc_http1_is_target(cc_slice_text("a")));
  assert_false(cc_http1_is_target(cc_slice_text("/a b")));
  assert_false(cc_http1_is_target(cc_slice_text("/a#b")));
  assert_false(cc_http1_is_target(cc_slice_text("/\xc3\xa4")));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(good_requests),
      cmocka_unit_test(chunks),
      cmocka_unit_test(bad_requests),
      cmocka_unit_test(other_refusals),
      cmocka_unit_test(nul_bytes),
      cmocka_unit_test(good_responses),
      cmocka_unit_test(bad_responses),
      cmocka_unit_test(no_body_after_head),
      cmocka_unit_test(interim_responses_are_bounded),
      cmocka_unit_test(heads_are_bounded),
      cmocka_unit_test(endless_heads),
      cmocka_unit_test(trailers_and_extensions_are_bounded),
      cmocka_unit_test(bodies_are_not_copied),
      cmocka_unit_test(head_lives_until_reset),
      cmocka_unit_test(refused_head_is_not_shown),
      cmocka_unit_test(texts_for_heads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
