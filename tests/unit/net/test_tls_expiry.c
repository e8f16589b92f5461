// SPDX-License-Identifier: Apache-2.0
// When the certificates of a peer and of a file expire.
#include "api/error.h"
#include "api/listen.h"
#include "net/tls_world.h"

static const double END_OF_2049 = 2524607999000.0; // 2049-12-31 23:59:59 UTC, see make.sh
static const double BEGIN_OF_2021 = 1609459200000.0;

static double of_file(const char *name) {
  double expires = -1;
  assert_int_equal(cc_certificate_expires(in_world(name, ".pem"), &expires), CC_OK);
  return expires;
}

static void a_file_expires_with_its_first_certificate(void **state) {
  (void)state;
  double authority = of_file("middle");
  assert_true(of_file("good") == END_OF_2049);
  assert_true(of_file("expired") == BEGIN_OF_2021);
  assert_true(authority > 0 && authority < END_OF_2049);
  assert_true(of_file("chained") == authority);
}

static void a_file_without_a_certificate_is_told(void **state) {
  (void)state;
  double expires = -1;
  assert_int_equal(cc_certificate_expires(in_world("good", ".key"), &expires), CC_ETLS);
  assert_int_equal(cc_certificate_expires(in_world("none", ".pem"), &expires), CC_ETLS);
}

static double of_peer(const char *name) {
  struct cc_tls_config *client = client_config();
  struct pair *pair = tls_server(name);
  assert_true(cc_tls_peer_expires(&pair->client.stream) == 0);
  connect_tls(pair, client, "relay.test");
  double expires = cc_tls_peer_expires(&pair->client.stream);
  tls_free(pair, client);
  return expires;
}

static void a_peer_expires_with_its_first_certificate(void **state) {
  (void)state;
  assert_true(of_peer("good") == END_OF_2049);
  assert_true(of_peer("chained") == of_file("middle"));
  assert_true(of_peer("expired") == 0); // refused
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_file_expires_with_its_first_certificate),
      cmocka_unit_test(a_file_without_a_certificate_is_told),
      cmocka_unit_test(a_peer_expires_with_its_first_certificate),
  };
  return cmocka_run_group_tests(tests, world_open, world_close);
}
