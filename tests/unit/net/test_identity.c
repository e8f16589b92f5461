// SPDX-License-Identifier: Apache-2.0
// The certificate of the listeners is replaced in two steps, as a whole or not at all.
#include "api/listen.h"
#include "net/identity.h"
#include "pair.h"
#include "tls_world.h"
#include <sys/stat.h>

static uint8_t digest[32];

static void copy(const char *cert, const char *key) {
  char command[400];
  snprintf(command, sizeof command, "cd %s && cp %s.pem own.pem && cp %s.key own.key", world, cert,
           key);
  assert_int_equal(system(command), 0);
}

static struct cc_identity loaded(const char *name) {
  struct cc_identity identity = {0};
  copy(name, name);
  assert_int_equal(cc_identity_load(&identity, cc_slice_text(in_world("own", ".pem")),
                                    cc_slice_text(in_world("own", ".key"))),
                   CC_OK);
  return identity;
}

static int look(void) {
  return cc_tls_digest(in_world("own", ".pem"), in_world("own", ".key"), digest);
}

static void it_is_one_pair_of_files(void **state) {
  (void)state;
  struct cc_identity identity = loaded("good");
  struct cc_tls_config *config = identity.config;
  struct cc_slice cert = cc_slice_text(in_world("own", ".pem"));
  struct cc_slice key = cc_slice_text(in_world("own", ".key"));
  assert_int_equal(cc_identity_load(&identity, cert, key), CC_OK);
  assert_ptr_equal(identity.config, config);
  assert_int_equal(cc_identity_load(&identity, cert, cert), CC_EINVAL);
  cc_identity_free(&identity);
  assert_null(identity.config);
  assert_int_equal(cc_identity_load(&identity, key, key), CC_ETLS);
  assert_null(identity.cert);
}

static void the_digest_tells_what_was_read(void **state) {
  (void)state;
  struct cc_identity identity = loaded("good");
  assert_int_equal(look(), CC_OK);
  assert_memory_equal(digest, cc_tls_server_digest(identity.config), 32);
  copy("good", "rsa");
  assert_int_equal(look(), CC_OK);
  assert_memory_not_equal(digest, cc_tls_server_digest(identity.config), 32);
  cc_identity_free(&identity);
}

static void another_pair_is_for_connections_after_the_commit(void **state) {
  (void)state;
  struct cc_identity identity = loaded("good");
  struct cc_tls_config *old = identity.config;
  copy("expired", "expired");
  assert_int_equal(look(), CC_OK);
  assert_int_equal(cc_identity_prepare(&identity, digest), CC_OK);
  assert_ptr_equal(identity.config, old);
  cc_identity_commit(&identity);
  assert_memory_equal(digest, cc_tls_server_digest(identity.config), 32);
  assert_null(identity.next);
  cc_identity_commit(&identity);
  assert_memory_equal(digest, cc_tls_server_digest(identity.config), 32);
  cc_identity_free(&identity);
}

static void what_is_in_force_is_not_read_again(void **state) {
  (void)state;
  struct cc_identity identity = loaded("good");
  uint8_t own[32];
  memcpy(own, cc_tls_server_digest(identity.config), 32);
  copy("expired", "expired");
  assert_int_equal(look(), CC_OK);
  assert_int_equal(cc_identity_prepare(&identity, digest), CC_OK);
  assert_int_equal(unlink(in_world("own", ".pem")), 0);
  assert_int_equal(cc_identity_prepare(&identity, own), CC_OK);
  cc_identity_commit(&identity); // what was prepared before is forgotten
  assert_memory_equal(own, cc_tls_server_digest(identity.config), 32);
  cc_identity_free(&identity);
}

static void refuse(struct cc_identity *identity, const char *words) {
  struct cc_tls_config *config = identity->config;
  assert_int_equal(cc_identity_prepare(identity, digest), CC_ETLS);
  assert_non_null(strstr(cc_system_error(), words));
  cc_identity_commit(identity);
  assert_ptr_equal(identity->config, config);
}

static void a_pair_that_cannot_be_used_changes_nothing(void **state) {
  (void)state;
  struct cc_identity identity = loaded("good");
  copy("good", "rsa");
  assert_int_equal(look(), CC_OK);
  refuse(&identity, "own.key is not the key of");
  copy("expired", "expired");
  refuse(&identity, "is being changed"); // the digest is that of other files
  assert_int_equal(truncate(in_world("own", ".pem"), 200), 0);
  assert_int_equal(look(), CC_OK);
  refuse(&identity, "own.pem: ");
  assert_int_equal(unlink(in_world("own", ".key")), 0);
  assert_int_equal(look(), CC_ETLS);
  assert_non_null(strstr(cc_system_error(), "own.key: No such file"));
  refuse(&identity, "own.key: No such file");
  assert_int_equal(mkfifo(in_world("own", ".key"), 0600), 0);
  assert_int_equal(look(), CC_ETLS); // and does not wait
  refuse(&identity, "own.key: not a regular file");
  assert_int_equal(unlink(in_world("own", ".key")), 0);
  cc_identity_free(&identity);
}

static void without_tls_there_is_nothing_to_replace(void **state) {
  (void)state;
  struct cc_identity identity = {0};
  assert_int_equal(cc_identity_prepare(&identity, digest), CC_OK);
  cc_identity_commit(&identity);
  assert_null(identity.config);
  cc_identity_free(&identity);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(it_is_one_pair_of_files),
      cmocka_unit_test(the_digest_tells_what_was_read),
      cmocka_unit_test(another_pair_is_for_connections_after_the_commit),
      cmocka_unit_test(what_is_in_force_is_not_read_again),
      cmocka_unit_test(a_pair_that_cannot_be_used_changes_nothing),
      cmocka_unit_test(without_tls_there_is_nothing_to_replace),
  };
  return cmocka_run_group_tests(tests, world_open, world_close);
}
