// SPDX-License-Identifier: Apache-2.0
// How bytes go under TLS: both ways, whole, in bounds, and how it ends.
#include "base/mbed.h"
#include "net/stream_internal.h"
#include "net/tls_world.h"
#include <sys/socket.h>

enum { BIG = 8 << 20 };

static void words_and_an_orderly_end(void **state) {
  (void)state;
  struct cc_tls_config *client;
  struct pair *pair = tls_pair(&client);
  exchange_words(pair);
  cc_stream_close(&pair->peer.stream);
  RUN_UNTIL(pair, pair->client.ends);
  assert_int_equal(pair->client.end_error, CC_OK);
  tls_free(pair, client);
}

static void cut_off(struct end *end) {
  int fd = -1;
  uv_fileno(&end->stream.uv.handle, &fd);
  shutdown(fd, SHUT_WR);
}

static void a_cut_is_no_orderly_end(void **state) {
  (void)state;
  struct cc_tls_config *client;
  struct pair *pair = tls_pair(&client);
  exchange_words(pair);
  cut_off(&pair->peer);
  RUN_UNTIL(pair, pair->client.ends);
  assert_int_equal(pair->client.end_error, CC_EEOF);
  assert_int_not_equal(end_say(&pair->client, "x"), CC_OK);
  tls_free(pair, client);
}

static void a_reset_is_a_reset(void **state) {
  (void)state;
  struct cc_tls_config *client;
  struct pair *pair = tls_pair(&client);
  exchange_words(pair);
  cc_stream_reset(&pair->client.stream);
  RUN_UNTIL(pair, pair->peer.ends);
  assert_int_equal(pair->peer.end_error, CC_ERESET);
  tls_free(pair, client);
}

static void a_damaged_record_ends_it(void **state) {
  (void)state;
  struct cc_tls_config *client;
  struct pair *pair = tls_pair(&client);
  struct cc_slice junk = {"\x17\x03\x03\x00\x20 not what the key would open, no", 37};
  end_listen(&pair->client);
  assert_int_equal(cc_stream_raw_write(&pair->peer.stream, &junk, 1), CC_OK);
  RUN_UNTIL(pair, pair->client.ends);
  assert_int_equal(pair->client.end_error, CC_ERESET);
  assert_string_not_equal(cc_stream_detail(&pair->client.stream), "");
  assert_int_equal(pair->client.got.size, 0);
  tls_free(pair, client);
}

static void a_record_over_16_kib_ends_it(void **state) {
  (void)state;
  struct cc_tls_config *client;
  struct pair *pair = tls_pair(&client);
  char *bytes = pattern(20000);
  memcpy(bytes, "\x17\x03\x03\x4e\x00", 5);
  struct cc_slice junk = {bytes, 20000};
  end_listen(&pair->client);
  cc_stream_raw_write(&pair->peer.stream, &junk, 1);
  RUN_UNTIL(pair, pair->client.ends);
  assert_int_equal(pair->client.end_error, CC_ERESET);
  free(bytes);
  tls_free(pair, client);
}

static void empty_records_are_bounded(void **state) {
  (void)state;
  struct cc_tls_config *client;
  struct pair *pair = tls_pair(&client);
  mbedtls_ssl_context *ssl = pair->peer.stream.tls; // its first member
  end_listen(&pair->client);
  end_listen(&pair->peer);
  for (int i = 0; i < 10000 && !pair->peer.ends; i++) {
    mbedtls_ssl_write(ssl, (const unsigned char *)"", 0);
    if (i % 100 == 0) uv_run(&pair->loop, UV_RUN_NOWAIT);
  }
  end_say(&pair->peer, "x");
  RUN_UNTIL(pair, pair->client.ends);
  assert_int_equal(pair->client.end_error, CC_ERESET);
  assert_int_equal(pair->client.got.size, 0);
  tls_free(pair, client);
}

static void say_more(struct end *end) {
  end->on_read = NULL;
  end_say(end->context, "from within");
}

// Asks the client for a new handshake; false where the version knows no such request.
static bool request_handshake(struct pair *pair) {
  mbedtls_ssl_context *ssl = pair->peer.stream.tls;
  if (strcmp(mbedtls_ssl_get_version(ssl), "TLSv1.3") == 0) {
    print_message("skipped: TLS 1.3 has no renegotiation\n");
    return false;
  }
  assert_int_equal(mbedtls_ssl_renegotiate(ssl), 0);
  return true;
}

// The client's refusal goes to the server, though the client writes elsewhere in between.
static void a_request_to_renegotiate_is_refused(void **state) {
  (void)state;
  struct cc_tls_config *client;
  struct pair *pair = tls_pair(&client);
  if (request_handshake(pair)) {
    pair->client.on_read = say_more;
    pair->client.context = &pair->peer;
    end_say(&pair->peer, "first ");
    end_listen(&pair->client);
    RUN_UNTIL(pair, pair->client.ends || pair->client.got.size == 17);
    assert_true(end_has(&pair->client, "first from within"));
    assert_false(pair->client.ends);
  }
  tls_free(pair, client);
}

static void a_flood_of_such_requests_is_bounded(void **state) {
  (void)state;
  struct cc_tls_config *client;
  struct pair *pair = tls_pair(&client);
  end_listen(&pair->client);
  bool asked = request_handshake(pair);
  for (int i = 0; i < 10000 && asked; i++)
    mbedtls_ssl_renegotiate(pair->peer.stream.tls);
  if (asked) {
    end_say(&pair->peer, "x");
    RUN_UNTIL(pair, pair->client.ends || pair->client.got.size);
    assert_int_equal(pair->client.end_error, CC_ERESET);
    assert_string_equal(cc_stream_detail(&pair->client.stream), "too many bytes without content");
  }
  tls_free(pair, client);
}

// ---- Much --------------------------------------------------------------------------------------

static void much_is_queued_and_arrives(void **state) {
  (void)state;
  struct cc_tls_config *client;
  struct pair *pair = tls_pair(&client);
  small_steps(pair);
  char *bytes = pattern(BIG);
  struct cc_slice parts[] = {
      {bytes, 10}, {bytes + 10, 0}, {bytes + 10, BIG / 2}, {bytes + 10 + BIG / 2, BIG / 2 - 10}};
  assert_int_equal(cc_stream_write(&pair->client.stream, parts, 4), CC_OK);
  size_t first = pair->client.stream.queued;
  assert_true(first > 0 && first <= BIG);
  assert_int_equal(end_write(&pair->client, bytes, 1000), CC_OK);
  assert_int_equal(pair->client.stream.queued, first + 1000);
  idle(pair);
  assert_int_equal(pair->client.drains, 0);
  end_listen(&pair->peer);
  RUN_UNTIL(pair, pair->client.stream.queued < first);
  assert_true(pair->client.stream.queued > 0);
  RUN_UNTIL(pair, pair->peer.got.size == BIG + 1000);
  assert_memory_equal(pair->peer.got.data, bytes, BIG);
  assert_memory_equal(pair->peer.got.data + BIG, bytes, 1000);
  RUN_UNTIL(pair, pair->client.drains);
  idle(pair);
  assert_int_equal(pair->client.drains, 1);
  assert_int_equal(pair->client.stream.queued, 0);
  free(bytes);
  tls_free(pair, client);
}

static void much_goes_both_ways_at_once(void **state) {
  (void)state;
  struct cc_tls_config *client;
  struct pair *pair = tls_pair(&client);
  char *bytes = pattern(BIG);
  end_write(&pair->client, bytes, BIG);
  end_write(&pair->peer, bytes, BIG);
  end_listen(&pair->client);
  end_listen(&pair->peer);
  RUN_UNTIL(pair, pair->client.got.size == BIG && pair->peer.got.size == BIG);
  assert_memory_equal(pair->client.got.data, bytes, BIG);
  assert_memory_equal(pair->peer.got.data, bytes, BIG);
  free(bytes);
  tls_free(pair, client);
}

static void close_delivers_much_and_ends_orderly(void **state) {
  (void)state;
  struct cc_tls_config *client;
  struct pair *pair = tls_pair(&client);
  char *bytes = pattern(BIG);
  end_write(&pair->client, bytes, BIG);
  cc_stream_close(&pair->client.stream);
  idle(pair);
  assert_int_equal(pair->client.closes, 0);
  end_listen(&pair->peer);
  RUN_UNTIL(pair, pair->peer.ends);
  assert_int_equal(pair->peer.end_error, CC_OK);
  assert_int_equal(pair->peer.got.size, BIG);
  assert_memory_equal(pair->peer.got.data, bytes, BIG);
  RUN_UNTIL(pair, pair->client.closes);
  free(bytes);
  tls_free(pair, client);
}

// Records per write: many small parts make one.
static void small_parts_share_a_record(void **state) {
  (void)state;
  struct cc_tls_config *client;
  struct pair *pair = tls_pair(&client);
  struct cc_slice parts[40];
  for (int i = 0; i < 40; i++)
    parts[i] = cc_slice_text("part ");
  end_listen(&pair->peer);
  assert_int_equal(cc_stream_write(&pair->client.stream, parts, 40), CC_OK);
  RUN_UNTIL(pair, pair->peer.got.size == 200);
  assert_int_equal(pair->peer.reads, 1);
  assert_memory_equal(pair->peer.got.data + 195, "part ", 5);
  tls_free(pair, client);
}

// ---- Reading off and on ------------------------------------------------------------------------

static void pause_now(struct end *end) {
  cc_stream_pause(&end->stream);
}

static void pause_holds_records_that_came_already(void **state) {
  (void)state;
  struct cc_tls_config *client;
  struct pair *pair = tls_pair(&client);
  char *bytes = pattern(200000);
  int read = 0;
  pair->peer.on_read = pause_now;
  end_write(&pair->client, bytes, 200000);
  cc_stream_close(&pair->client.stream);
  while (pair->peer.got.size < 200000) {
    end_listen(&pair->peer);
    RUN_UNTIL(pair, pair->peer.reads > read);
    idle(pair);
    assert_int_equal(pair->peer.reads, ++read);
    assert_int_equal(pair->peer.ends, 0);
  }
  assert_memory_equal(pair->peer.got.data, bytes, 200000);
  end_listen(&pair->peer);
  RUN_UNTIL(pair, pair->peer.ends);
  assert_int_equal(pair->peer.end_error, CC_OK);
  free(bytes);
  tls_free(pair, client);
}

static void close_now(struct end *end) {
  cc_stream_close(&end->stream);
}

static void nothing_is_told_after_close(void **state) {
  (void)state;
  struct cc_tls_config *client;
  struct pair *pair = tls_pair(&client);
  char *bytes = pattern(200000);
  pair->peer.on_read = close_now;
  end_listen(&pair->peer);
  end_write(&pair->client, bytes, 200000);
  RUN_UNTIL(pair, pair->peer.closes);
  assert_int_equal(pair->peer.reads, 1);
  free(bytes);
  tls_free(pair, client);
}

// What is written to another stream while this one is being read goes to that one only.
static void writing_elsewhere_from_within_read(void **state) {
  (void)state;
  struct cc_tls_config *client;
  struct pair *pair = tls_pair(&client);
  pair->peer.on_read = say_more;
  pair->peer.context = &pair->client;
  end_listen(&pair->client);
  end_listen(&pair->peer);
  end_say(&pair->client, "first ");
  RUN_UNTIL(pair, end_has(&pair->peer, "first from within"));
  tls_free(pair, client);
}

// ---- Beginning ---------------------------------------------------------------------------------

static void nothing_is_written_before_it_stands(void **state) {
  (void)state;
  struct pair *pair = tls_server("good");
  struct cc_tls_config *client = client_config();
  target.config = client;
  target.host = "relay.test";
  pair->client.on_ready = begin_tls;
  pair_connect(pair);
  RUN_UNTIL(pair, pair->client.stream.layer);
  assert_int_equal(end_say(&pair->client, "secret"), CC_ESTATE);
  assert_int_equal(cc_stream_tls_client(&pair->client.stream, client, "relay.test"), CC_ESTATE);
  tls_free(pair, client);
}

static void closing_in_the_handshake(void **state) {
  (void)state;
  struct pair *pair = tls_server("good");
  struct cc_tls_config *client = client_config();
  target.config = client;
  target.host = "relay.test";
  pair->client.on_ready = begin_tls;
  pair_connect(pair);
  RUN_UNTIL(pair, pair->client.stream.layer);
  cc_stream_close(&pair->client.stream);
  RUN_UNTIL(pair, pair->client.closes && pair->peer.readies);
  assert_int_equal(pair->peer.ready_error, CC_ETLS);
  assert_int_equal(pair->client.readies, 0);
  tls_free(pair, client);
}

static void a_client_that_speaks_plainly_is_refused(void **state) {
  (void)state;
  struct pair *pair = tls_server("good");
  pair_connect(pair);
  RUN_UNTIL(pair, pair->client.readies);
  end_say(&pair->client, "GET / HTTP/1.1\r\nHost: relay.test\r\n\r\n");
  RUN_UNTIL(pair, pair->peer.readies);
  assert_int_equal(pair->peer.ready_error, CC_ETLS);
  assert_int_equal(pair->peer.got.size, 0);
  tls_free(pair, NULL);
}

// openssl s_client with these options against our server, which has to end it.
static void client_is_refused(const char *const *options, int input_after, const char *words) {
  struct pair *pair = tls_server("good");
  char address[32];
  const char *arguments[16] = {"openssl", "s_client", "-connect", address};
  snprintf(address, sizeof address, "127.0.0.1:%d", ntohs(pair->address.sin_port));
  for (int i = 4; *options; i++)
    arguments[i] = *options++;
  struct program program = start_program(arguments);
  RUN_UNTIL(pair, pair->peer.readies);
  if (input_after) {
    assert_int_equal(pair->peer.ready_error, CC_OK);
    end_listen(&pair->peer);
    assert_int_equal(write(program.input, "R\n", 2), 2);
  } else {
    assert_int_equal(pair->peer.ready_error, CC_ETLS);
  }
  WAIT_UNTIL(pair, output_has(words));
  if (input_after) RUN_UNTIL(pair, pair->peer.ends);
  assert_int_equal(pair->peer.got.size, 0);
  stop_program(&program);
  tls_free(pair, NULL);
}

static void renegotiation_is_refused(void **state) {
  (void)state;
  const char *options[] = {"-tls1_2", NULL};
  client_is_refused(options, true, "no renegotiation");
}

static void a_client_of_http2_only_is_refused(void **state) {
  (void)state;
  const char *options[] = {"-alpn", "h2", NULL};
  client_is_refused(options, false, "no application protocol");
}

static void a_client_of_old_versions_is_refused(void **state) {
  (void)state;
  const char *options[] = {"-tls1_1", "-cipher", "ALL:@SECLEVEL=0", NULL};
  client_is_refused(options, false, "alert");
}

// ---- Sessions ----------------------------------------------------------------------------------

// Connects, exchanges words, ends orderly; says whether the session was resumed.
static bool visit(struct pair *pair, struct cc_tls_config *client, const char *host) {
  connect_tls(pair, client, host);
  assert_string_equal(cc_stream_detail(&pair->client.stream), "");
  assert_int_equal(pair->client.ready_error, CC_OK);
  RUN_UNTIL(pair, pair->peer.readies);
  exchange_words(pair);
  bool resumed = cc_tls_resumed(&pair->client.stream);
  cc_stream_close(&pair->client.stream);
  RUN_UNTIL(pair, pair->peer.ends);
  assert_int_equal(pair->peer.end_error, CC_OK);
  end_again(pair, &pair->client);
  end_again(pair, &pair->peer);
  return resumed;
}

static void the_second_visit_resumes(void **state) {
  (void)state;
  struct pair *pair = tls_server("good");
  struct cc_tls_config *client = client_config();
  assert_false(visit(pair, client, "relay.test"));
  for (int i = 0; i < 3; i++)
    assert_true(visit(pair, client, "relay.test"));
  tls_free(pair, client);
}

static void another_name_does_not_resume(void **state) {
  (void)state;
  struct pair *pair = tls_server("wildcard");
  struct cc_tls_config *client = client_config();
  assert_false(visit(pair, client, "a.relay.test"));
  assert_false(visit(pair, client, "b.relay.test"));
  assert_true(visit(pair, client, "a.relay.test"));
  connect_tls(pair, client, "relay.test");
  assert_int_equal(pair->client.ready_error, CC_ETLS);
  tls_free(pair, client);
}

static void another_configuration_does_not_resume(void **state) {
  (void)state;
  struct pair *pair = tls_server("self");
  struct cc_tls_config *trusting;
  struct cc_tls_config *client = client_config();
  assert_int_equal(cc_tls_client_new(in_world("self", ".pem"), &trusting), CC_OK);
  assert_false(visit(pair, trusting, "relay.test"));
  assert_true(visit(pair, trusting, "relay.test"));
  connect_tls(pair, client, "relay.test");
  assert_int_equal(pair->client.ready_error, CC_ETLS);
  cc_tls_release(trusting);
  tls_free(pair, client);
}

// A server that has lost its ticket keys is verified anew; with a bad certificate it is refused.
static void a_lost_session_means_a_full_handshake(void **state) {
  (void)state;
  struct pair *pair = tls_server("good");
  struct cc_tls_config *client = client_config(), *old = pair->server_config;
  assert_false(visit(pair, client, "relay.test"));
  pair->server_config = server_config("good");
  cc_tls_release(old);
  assert_false(visit(pair, client, "relay.test"));
  assert_true(visit(pair, client, "relay.test"));
  old = pair->server_config;
  pair->server_config = server_config("expired");
  cc_tls_release(old);
  connect_tls(pair, client, "relay.test");
  assert_int_equal(pair->client.ready_error, CC_ETLS);
  tls_free(pair, client);
}

static void openssl_resumes_too(void **state) {
  (void)state;
  const char *options[] = {NULL};
  struct pair *pair = pair_new();
  struct cc_tls_config *client = client_config();
  struct program program = start_server(pair, "good", options);
  for (int i = 0; i < 3; i++) {
    connect_tls(pair, client, "relay.test");
    assert_int_equal(pair->client.ready_error, CC_OK);
    assert_int_equal(cc_tls_resumed(&pair->client.stream), i > 0);
    end_listen(&pair->client);
    assert_int_equal(end_say(&pair->client, "secret\n"), CC_OK);
    assert_int_equal(write(program.input, "reply\n", 6), 6);
    RUN_UNTIL(pair, end_has(&pair->client, "reply\n"));
    end_again(pair, &pair->client);
  }
  stop_program(&program);
  tls_free(pair, client);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(words_and_an_orderly_end),
      cmocka_unit_test(a_cut_is_no_orderly_end),
      cmocka_unit_test(a_reset_is_a_reset),
      cmocka_unit_test(a_damaged_record_ends_it),
      cmocka_unit_test(a_record_over_16_kib_ends_it),
      cmocka_unit_test(empty_records_are_bounded),
      cmocka_unit_test(a_request_to_renegotiate_is_refused),
      cmocka_unit_test(a_flood_of_such_requests_is_bounded),
      cmocka_unit_test(much_is_queued_and_arrives),
      cmocka_unit_test(much_goes_both_ways_at_once),
      cmocka_unit_test(close_delivers_much_and_ends_orderly),
      cmocka_unit_test(small_parts_share_a_record),
      cmocka_unit_test(pause_holds_records_that_came_already),
      cmocka_unit_test(nothing_is_told_after_close),
      cmocka_unit_test(writing_elsewhere_from_within_read),
      cmocka_unit_test(nothing_is_written_before_it_stands),
      cmocka_unit_test(closing_in_the_handshake),
      cmocka_unit_test(a_client_that_speaks_plainly_is_refused),
      cmocka_unit_test(renegotiation_is_refused),
      cmocka_unit_test(a_client_of_http2_only_is_refused),
      cmocka_unit_test(a_client_of_old_versions_is_refused),
      cmocka_unit_test(the_second_visit_resumes),
      cmocka_unit_test(another_name_does_not_resume),
      cmocka_unit_test(another_configuration_does_not_resume),
      cmocka_unit_test(a_lost_session_means_a_full_handshake),
      cmocka_unit_test(openssl_resumes_too),
  };
  return cmocka_run_group_tests(tests, world_open, world_close);
}
