// SPDX-License-Identifier: Apache-2.0
// Which of a client's headers are passed to the upstream, in upper and lower case.
#include "attempt/headers.h"
#include "attempt/hops.h"
#include "shared/shared.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *const kept_back[] = {"authorization",
                                        "x-api-key",
                                        "api-key",
                                        "cookie",
                                        "x-goog-api-key",
                                        "x-goog-user-project",
                                        "x-goog-anything",
                                        "ocp-apim-subscription-key",
                                        "x-ms-authorization-auxiliary",
                                        "host",
                                        "content-length",
                                        "expect",
                                        "accept-encoding",
                                        "connection",
                                        "keep-alive",
                                        "te",
                                        "trailer",
                                        "upgrade",
                                        "transfer-encoding",
                                        "proxy-connection",
                                        "proxy-authorization",
                                        "forwarded",
                                        "via",
                                        "x-forwarded",
                                        "x-forwarded-for",
                                        "x-forwarded-host",
                                        "x-forwarded-proto",
                                        "x-forwarded-prefix",
                                        "x-real-ip",
                                        "x-client-ip",
                                        "true-client-ip",
                                        "cf-connecting-ip",
                                        "x-envoy-original-path",
                                        "x-remote-user",
                                        "x-http-method",
                                        "x-http-method-override",
                                        "x-method-override",
                                        "x-original-url",
                                        "x-original-uri",
                                        "x-rewrite-url",
                                        "cache-control",
                                        "pragma",
                                        "surrogate-control",
                                        "x-amz-date",
                                        "x-amz-security-token",
                                        "x-amz-target",
                                        "x-amz-content-sha256",
                                        NULL};

static const char *const passed[] = {"anthropic-version",
                                     "anthropic-beta",
                                     "anthropic-something-new",
                                     "x-claude-code-session-id",
                                     "x-stainless-lang",
                                     "x-app",
                                     "user-agent",
                                     "content-type",
                                     "content-encoding",
                                     "accept",
                                     "x-request-id",
                                     "idempotency-key",
                                     "x-amzn-bedrock-guardrailidentifier",
                                     "x-goo",
                                     "hostess",
                                     "viand",
                                     "x-forward",
                                     "traceparent",
                                     "range",
                                     NULL};

static bool goes_up(const char *name) {
  return cc_headers_may_go_up(cc_slice_text(name));
}

// As it is, and in capitals. (Names with "_" for "-" do not get this far: http1_head.c.)
static void check(const char *name, bool expected) {
  char upper[64];
  size_t size = strlen(name);
  for (size_t i = 0; i <= size; i++)
    upper[i] = (char)(name[i] >= 'a' && name[i] <= 'z' ? name[i] - 32 : name[i]);
  const char *spellings[] = {name, upper};
  for (size_t i = 0; i < 2; i++)
    if (goes_up(spellings[i]) != expected) fail_msg("%s", spellings[i]);
}

static void test_spellings(void **state) {
  (void)state;
  for (const char *const *name = kept_back; *name; name++)
    check(*name, false);
  for (const char *const *name = passed; *name; name++)
    check(*name, true);
  assert_true(goes_up(""));
}

// ---- CDN-Loop ----------------------------------------------------------------------------------

static bool seen(const char *first, const char *second) {
  struct cc_header headers[] = {{cc_slice_text("CDN-LOOP"), cc_slice_text(first)},
                                {cc_slice_text("x-other"), cc_slice_text("x")},
                                {cc_slice_text("cdn-loop"), cc_slice_text(second)}};
  struct cc_http1_head head = {.header = headers, .headers = 3};
  return cc_hops_seen(&head);
}

static void test_loop(void **state) {
  (void)state;
  char own[64], list[128];
  struct cc_buffer line = {0};
  cc_hops_add(&line);
  cc_buffer_add(&line, "", 1);
  assert_true(line.size < sizeof own);
  assert_int_equal(1, sscanf(line.data, "CDN-Loop: %63s", own));
  assert_string_equal("\r\n", line.data + line.size - 3);
  snprintf(list, sizeof list, "cloudflare; loops=1,%s;x=\"y\" , other", own);
  assert_true(seen(own, ""));
  assert_true(seen("ccrelay-0000000000000000", own));
  assert_true(seen(list, "a"));
  own[strlen(own) - 1] ^= 1; // another relay
  assert_false(seen(own, "ccrelay, ccrelay-"));
  assert_false(seen("", ""));
  cc_buffer_free(&line);
  cc_shared_close();
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_spellings), cmocka_unit_test(test_loop)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
