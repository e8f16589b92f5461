// SPDX-License-Identifier: Apache-2.0
#include "server.h"

static const char header[] =
    "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x09\xc0\0\2\1\x30\x39\0\x50";
static const size_t header_size = sizeof header - 1;
static struct cc_trust trust;
static int unnamed_error;
static char peer[CC_PEER];

static void on_unnamed(struct cc_inbound *in, int error) {
  (void)in;
  unnamed_error = error;
}

static void answer(struct server *server, struct cc_inbound *in) {
  struct cc_slice part = {"yes", 3};
  (void)server;
  strcpy(peer, in->peer);
  assert_int_equal(cc_inbound_head(in, 200, NULL, 0, 3), CC_OK);
  assert_int_equal(cc_inbound_write(in, &part, 1), CC_OK);
  cc_inbound_end(in);
}

static struct server *open_proxied(const char *trusted) {
  static struct cc_inbound_events events;
  struct server *server = server_new();
  struct cc_listen spec = {.host = cc_slice_text("127.0.0.1"), .copies = 1, .proxied = true};
  events = server_events;
  events.unnamed = on_unnamed;
  cc_listeners_close(server->listeners);
  server->listeners =
      cc_listeners_new(&server->loop, &server->settings, &server->limit, &events, server);
  assert_int_equal(cc_trust_set(&trust, cc_slice_text(trusted)), CC_OK);
  server->settings.trust = &trust;
  server->on_complete = answer;
  unnamed_error = CC_OK;
  assert_int_equal(cc_listeners_bind(server->listeners, &spec), 0);
  assert_int_equal(cc_listeners_accept(server->listeners, 0, 0), CC_OK);
  return server;
}

static void close_proxied(struct server *server, struct client *client) {
  client_close(client);
  server_close(server);
  cc_trust_free(&trust);
}

static void send_bytes(struct client *client, const char *data, size_t size) {
  assert_int_equal(send(client->fd, data, size, 0), size);
}

static void the_header_comes_before_http(void **state) {
  (void)state;
  struct server *server = open_proxied("127.0.0.1");
  struct client client;
  client_open(&client, server);
  send_bytes(&client, header, 7);
  for (int i = 0; i < 50; i++)
    uv_run(&server->loop, UV_RUN_NOWAIT);
  assert_int_equal(server->heads, 0);
  struct cc_buffer rest = {0};
  cc_buffer_add(&rest, header + 7, header_size - 7);
  cc_buffer_printf(&rest, "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n");
  send_bytes(&client, rest.data, rest.size);
  run_until(server, server->completes == 2);
  assert_string_equal(peer, "203.0.113.9");
  cc_buffer_free(&rest);
  close_proxied(server, &client);
}

static void no_header(void **state) {
  (void)state;
  struct server *server = open_proxied("127.0.0.1");
  struct client client;
  client_open(&client, server);
  client_send(&client, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  run_until(server, client_ended(&client));
  assert_int_equal(unnamed_error, CC_EPROXY_HEADER);
  assert_int_equal(server->heads, 0);
  assert_int_equal(client.got.size, 0);
  close_proxied(server, &client);
}

static void a_peer_that_is_not_trusted(void **state) {
  (void)state;
  struct server *server = open_proxied("192.0.2.0/24");
  struct client client;
  client_open(&client, server);
  run_until(server, client_ended(&client));
  assert_int_equal(unnamed_error, CC_EUNTRUSTED);
  close_proxied(server, &client);
}

// A health check of the balancer that only connects is no fault.
static void nothing_is_sent(void **state) {
  (void)state;
  struct server *server = open_proxied("127.0.0.1");
  struct client client;
  client_open(&client, server);
  run_until(server, cc_listeners_connections(server->listeners) == 1);
  client_close(&client);
  run_until(server, server->closes == 1);
  assert_int_equal(unnamed_error, CC_OK);
  server_close(server);
  cc_trust_free(&trust);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_header_comes_before_http),
      cmocka_unit_test(no_header),
      cmocka_unit_test(a_peer_that_is_not_trusted),
      cmocka_unit_test(nothing_is_sent),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
