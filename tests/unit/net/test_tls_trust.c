// SPDX-License-Identifier: Apache-2.0
// Which servers a client accepts, and that the others get not one byte.
#include "net/tls_world.h"

static const struct {
  const char *certificate, *host;
} accepted[] = {
    {"good", "relay.test"},   {"good", "RELAY.test"},       {"good", "relay.test."},
    {"rsa", "relay.test"},    {"stored", "relay.test"},     {"chained", "relay.test"},
    {"server", "relay.test"}, {"wildcard", "a.relay.test"}, {"wildcard", "A.Relay.Test"},
    {"address", "127.0.0.1"}, {"address", "::1"},
};

static void good_certificates_are_accepted(void **state) {
  (void)state;
  struct cc_tls_config *client = client_config();
  for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++) {
    struct pair *pair = tls_server(accepted[i].certificate);
    connect_tls(pair, client, accepted[i].host);
    assert_string_equal(cc_stream_detail(&pair->client.stream), "");
    assert_int_equal(pair->client.ready_error, CC_OK);
    RUN_UNTIL(pair, pair->peer.readies);
    exchange_words(pair);
    tls_free(pair, NULL);
  }
  cc_tls_release(client);
}

static const struct {
  const char *certificate, *host, *words;
} refused[] = {
    {"expired", "relay.test", "certificate has expired"},
    {"future", "relay.test", "certificate is not valid yet"},
    {"other", "relay.test", "certificate is for another name"},
    {"good", "127.0.0.1", "certificate is for another name"},
    {"good", "evil.relay.test", "certificate is for another name"},
    {"good", "elay.test", "certificate is for another name"},
    {"self", "relay.test", "certificate is self-signed"},
    {"unknown", "relay.test", "certificate is not signed by a trusted CA"},
    {"missing", "relay.test", "certificate is not signed by a trusted CA"},
    {"commonname", "relay.test", "certificate names no host (subjectAltName)"},
    {"wildcard", "a.b.relay.test", "certificate is for another name"},
    {"wildcard", "relay.test", "certificate is for another name"},
    {"wildcard", ".relay.test", "certificate is for another name"},
    {"top", "relay.test", "certificate is for another name"},
    {"nul", "relay.test", "certificate is for another name"},
    {"textaddress", "127.0.0.1", "certificate is for another name"},
    {"otheraddress", "127.0.0.1", "certificate is for another name"},
    {"address", "::2", "certificate is for another name"},
    {"weakmd5", "relay.test", "certificate is signed with a weak hash"},
    {"weaksha1", "relay.test", "certificate is signed with a weak hash"},
    {"weaksha224", "relay.test", "certificate is signed with a weak hash"},
    {"short", "relay.test", "certificate has a weak key"},
};

static void refuse(struct pair *pair, struct cc_tls_config *client, const char *host,
                   const char *words) {
  connect_tls(pair, client, host);
  assert_int_equal(pair->client.ready_error, CC_ETLS);
  const char *detail = cc_stream_detail(&pair->client.stream);
  if (!strstr(detail, words)) fail_msg("expected \"%s\", got \"%s\"", words, detail);
  assert_int_not_equal(end_say(&pair->client, "secret"), CC_OK);
  cc_stream_close(&pair->client.stream);
  RUN_UNTIL(pair, pair->client.closes);
  assert_int_equal(pair->client.readies, 1);
  assert_int_equal(pair->client.ends, 0);
}

static void bad_certificates_are_refused(void **state) {
  (void)state;
  struct cc_tls_config *client = client_config();
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    struct pair *pair = tls_server(refused[i].certificate);
    refuse(pair, client, refused[i].host, refused[i].words);
    end_listen(&pair->peer);
    RUN_UNTIL(pair, pair->peer.readies + pair->peer.ends);
    idle(pair);
    assert_int_equal(pair->peer.got.size, 0);
    tls_free(pair, NULL);
  }
  cc_tls_release(client);
}

static void a_trusted_self_signed_certificate_is_accepted(void **state) {
  (void)state;
  struct cc_tls_config *client;
  struct pair *pair = tls_server("self");
  assert_int_equal(cc_tls_client_new(in_world("self", ".pem"), &client), CC_OK);
  connect_tls(pair, client, "relay.test");
  assert_int_equal(pair->client.ready_error, CC_OK);
  tls_free(pair, client);
}

// ---- Against another implementation ------------------------------------------------------------

static void openssl_gets_bytes_when_all_is_well(void **state) {
  (void)state;
  const char *options[] = {NULL};
  struct pair *pair = pair_new();
  struct cc_tls_config *client = client_config();
  struct program program = start_server(pair, "good", options);
  connect_tls(pair, client, "relay.test");
  assert_int_equal(pair->client.ready_error, CC_OK);
  end_listen(&pair->client);
  assert_int_equal(end_say(&pair->client, "secret\n"), CC_OK);
  WAIT_UNTIL(pair, output_has("secret"));
  assert_int_equal(write(program.input, "reply\n", 6), 6);
  RUN_UNTIL(pair, end_has(&pair->client, "reply\n"));
  stop_program(&program);
  tls_free(pair, client);
}

static void refuse_openssl(const char *certificate, const char *const *options, const char *words) {
  struct pair *pair = pair_new();
  struct cc_tls_config *client = client_config();
  struct program program = start_server(pair, certificate, options);
  refuse(pair, client, "relay.test", words);
  stop_program(&program);
  assert_false(output_has("secret"));
  tls_free(pair, client);
}

static void a_certificate_for_clients_only_is_refused(void **state) {
  (void)state;
  const char *options[] = {NULL};
  refuse_openssl("client", options, "certificate is not for servers");
}

static void old_versions_are_refused(void **state) {
  (void)state;
  const char *old[] = {"-tls1_1", "-cipher", "ALL:@SECLEVEL=0", NULL};
  const char *older[] = {"-tls1", "-cipher", "ALL:@SECLEVEL=0", NULL};
  refuse_openssl("good", old, "the peer refused TLS");
  refuse_openssl("good", older, "the peer refused TLS");
}

static void ciphers_without_forward_secrecy_are_refused(void **state) {
  (void)state;
  const char *options[] = {"-tls1_2", "-cipher", "AES128-GCM-SHA256:AES128-SHA", NULL};
  refuse_openssl("rsa", options, "handshake failure");
}

static void another_protocol_is_refused(void **state) {
  (void)state;
  const char *options[] = {"-alpn", "h2", NULL};
  refuse_openssl("good", options, "no application protocol");
}

// ---- Servers that are none ---------------------------------------------------------------------

static void drop_on_read(struct end *end) {
  if (end->context)
    cc_stream_reset(&end->stream);
  else
    cc_stream_close(&end->stream);
}

static void a_drop_after_the_hello_is_a_failure(void **state) {
  (void)state;
  for (int reset = 0; reset < 2; reset++) {
    struct pair *pair = pair_new();
    struct cc_tls_config *client = client_config();
    pair_listen(pair);
    pair->peer.on_read = drop_on_read;
    pair->peer.context = reset ? pair : NULL;
    target.config = client;
    target.host = "relay.test";
    pair->client.on_ready = begin_tls;
    pair_connect(pair);
    RUN_UNTIL(pair, pair->peer.stream.standing);
    end_listen(&pair->peer);
    RUN_UNTIL(pair, pair->client.stream.layer && pair->client.readies);
    assert_int_equal(pair->client.ready_error, CC_ETLS);
    assert_string_equal(cc_stream_detail(&pair->client.stream),
                        reset ? "connection reset by peer"
                              : "the peer closed the connection during the TLS handshake");
    assert_int_not_equal(end_say(&pair->client, "secret"), CC_OK);
    tls_free(pair, client);
  }
}

static void speak_plainly(struct end *end) {
  end_say(end, "HTTP/1.1 400 Bad Request\r\n\r\n");
}

static void a_plain_server_is_a_failure(void **state) {
  (void)state;
  struct pair *pair = pair_new();
  struct cc_tls_config *client = client_config();
  pair_listen(pair);
  pair->peer.on_read = speak_plainly;
  target.config = client;
  target.host = "relay.test";
  pair->client.on_ready = begin_tls;
  pair_connect(pair);
  RUN_UNTIL(pair, pair->peer.stream.standing);
  end_listen(&pair->peer);
  RUN_UNTIL(pair, pair->client.stream.layer && pair->client.readies);
  assert_int_equal(pair->client.ready_error, CC_ETLS);
  assert_string_not_equal(cc_stream_detail(&pair->client.stream), "");
  tls_free(pair, client);
}

// ---- Configurations ----------------------------------------------------------------------------

static void unusable_files_are_told(void **state) {
  (void)state;
  struct cc_tls_config *config;
  assert_int_equal(cc_tls_client_new(in_world("nothing", ".pem"), &config), CC_ETLS);
  assert_non_null(strstr(cc_system_error(), "nothing.pem"));
  assert_int_equal(cc_tls_client_new(in_world("root", ".key"), &config), CC_ETLS);
  assert_int_equal(cc_tls_client_new(world, &config), CC_ETLS);
  assert_int_equal(cc_tls_server_new(in_world("good", ".pem"), in_world("rsa", ".key"), &config),
                   CC_ETLS);
  assert_non_null(strstr(cc_system_error(), "is not the key of"));
  assert_int_equal(cc_tls_server_new(in_world("nothing", ".pem"), in_world("rsa", ".key"), &config),
                   CC_ETLS);
  assert_int_equal(
      cc_tls_server_new(in_world("good", ".pem"), in_world("nothing", ".key"), &config), CC_ETLS);
}

static void an_unchanged_ca_file_is_read_once(void **state) {
  (void)state;
  struct cc_tls_config *first, *second, *third, *plain, *again;
  const char *path = in_world("copy", ".pem");
  run_shell("cd %s && cp root.pem copy.pem", world);
  assert_int_equal(cc_tls_client_new(path, &first), CC_OK);
  assert_int_equal(cc_tls_client_new(path, &second), CC_OK);
  assert_ptr_equal(first, second);
  run_shell("cd %s && cat root.pem stranger.pem >copy.pem", world);
  assert_int_equal(cc_tls_client_new(path, &third), CC_OK);
  assert_ptr_not_equal(first, third);
  assert_int_equal(cc_tls_client_new(NULL, &plain), CC_OK);
  assert_int_equal(cc_tls_client_new(NULL, &again), CC_OK);
  assert_ptr_equal(plain, again);
  assert_ptr_not_equal(plain, first);
  cc_tls_release(first);
  cc_tls_release(plain);
  cc_tls_release(third);
  cc_tls_release(again);
  cc_tls_release(second);
}

static void the_store_comes_from_the_environment(void **state) {
  (void)state;
  struct cc_tls_config *config;
  setenv("SSL_CERT_FILE", in_world("nothing", ".pem"), 1);
  assert_int_equal(cc_tls_client_new(NULL, &config), CC_ETLS);
  assert_non_null(strstr(cc_system_error(), "nothing.pem"));
  assert_int_equal(cc_tls_client_new(in_world("root", ".pem"), &config), CC_OK);
  cc_tls_release(config);
  unsetenv("SSL_CERT_FILE");
  run_shell("cd %s && mkdir -p store && cp root.pem store", world);
  setenv("SSL_CERT_DIR", in_world("store", ""), 1);
  struct pair *pair = tls_server("good");
  assert_int_equal(cc_tls_client_new(NULL, &config), CC_OK);
  connect_tls(pair, config, "relay.test");
  assert_int_equal(pair->client.ready_error, CC_OK);
  tls_free(pair, config);
  unsetenv("SSL_CERT_DIR");
  setenv("SSL_CERT_FILE", in_world("rsaroot", ".pem"), 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(good_certificates_are_accepted),
      cmocka_unit_test(bad_certificates_are_refused),
      cmocka_unit_test(a_trusted_self_signed_certificate_is_accepted),
      cmocka_unit_test(openssl_gets_bytes_when_all_is_well),
      cmocka_unit_test(a_certificate_for_clients_only_is_refused),
      cmocka_unit_test(old_versions_are_refused),
      cmocka_unit_test(ciphers_without_forward_secrecy_are_refused),
      cmocka_unit_test(another_protocol_is_refused),
      cmocka_unit_test(a_drop_after_the_hello_is_a_failure),
      cmocka_unit_test(a_plain_server_is_a_failure),
      cmocka_unit_test(unusable_files_are_told),
      cmocka_unit_test(an_unchanged_ca_file_is_read_once),
      cmocka_unit_test(the_store_comes_from_the_environment),
  };
  return cmocka_run_group_tests(tests, world_open, world_close);
}
