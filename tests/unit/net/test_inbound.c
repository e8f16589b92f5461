// SPDX-License-Identifier: Apache-2.0
#include "server.h"

static void say(struct cc_inbound *in, int status, const char *text) {
  struct cc_slice part = cc_slice_text(text);
  assert_int_equal(cc_inbound_head(in, status, NULL, 0, (double)part.size), CC_OK);
  assert_int_equal(cc_inbound_write(in, &part, 1), CC_OK);
  cc_inbound_end(in);
}

static void say_yes(struct server *server, struct cc_inbound *in) {
  (void)server;
  say(in, 200, "yes");
}

static void say_no(struct server *server, struct cc_inbound *in) {
  (void)server;
  say(in, 413, "no");
}

static void answers_and_keeps_the_connection(void **state) {
  (void)state;
  struct server *server = server_open();
  struct client client;
  server->on_complete = say_yes;
  client_open(&client, server);
  client_send(&client, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  run_until(server, client_has(&client, "yes"));
  assert_true(client_has(&client, "HTTP/1.1 200 OK\r\ndate: "));
  assert_true(client_has(&client, " GMT\r\ncontent-length: 3\r\n\r\nyes"));
  assert_false(client_has(&client, "connection:"));
  cc_buffer_clear(&client.got);
  client_send(&client, "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi");
  run_until(server, client_has(&client, "yes"));
  assert_log(server, "head GET /a\ncomplete 0\nhead POST /b\ncomplete 2\n");
  assert_int_equal(cc_listeners_connections(server->listeners), 1);
  client_close(&client);
  run_until(server, server->closes == 1);
  assert_int_equal(server->gones, 0);
  server_close(server);
}

static void tells_the_peer(void **state) {
  (void)state;
  struct server *server = server_open();
  struct client client;
  client_open(&client, server);
  client_send(&client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  run_until(server, server->completes);
  assert_string_equal(server->in->peer, "127.0.0.1");
  assert_int_equal(server->in->listener, 0);
  client_close(&client);
  server_close(server);
}

static void pipelined_requests_are_answered_in_order(void **state) {
  (void)state;
  struct server *server = server_open();
  struct client client;
  struct cc_buffer expected = {0};
  server->on_complete = say_yes;
  client_open(&client, server);
  for (int i = 0; i < 20; i++) {
    char text[80];
    snprintf(text, sizeof text, "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i);
    client_send(&client, text);
    cc_buffer_printf(&expected, "head GET /%d\ncomplete 0\n", i);
  }
  cc_buffer_add(&expected, "", 1);
  run_until(server, server->completes == 20);
  assert_log(server, expected.data);
  client_close(&client);
  cc_buffer_free(&expected);
  server_close(server);
}

static void what_comes_early_is_bounded(void **state) {
  (void)state;
  struct server *server = server_open();
  struct client client;
  char piece[4096];
  size_t sent = 0;
  memset(piece, 'x', sizeof piece);
  client_open(&client, server);
  client_send(&client, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  run_until(server, server->completes == 1);
  for (int idle = 0; idle < 200; idle++) {
    ssize_t size = send(client.fd, piece, sizeof piece, MSG_NOSIGNAL);
    if (size > 0) sent += (size_t)size, idle = 0;
    uv_run(&server->loop, UV_RUN_NOWAIT);
  }
  assert_true(sent > 200000);
  assert_in_range(server->in->ahead.size, 65536, 131072);
  assert_int_equal(server->completes, 1);
  client_close(&client);
  server_close(server);
}

static void body_waits_until_it_is_let_in(void **state) {
  (void)state;
  struct server *server = server_open();
  struct client client;
  server->on_complete = say_yes;
  client_open(&client, server);
  client_send(&client, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nab");
  run_until(server, server->in && server->in->held);
  client_send(&client, "cdef");
  for (int i = 0; i < 50; i++)
    uv_run(&server->loop, UV_RUN_NOWAIT);
  assert_log(server, "head POST /a\npause 2\n");
  cc_inbound_admit(server->in);
  run_until(server, client_has(&client, "yes"));
  assert_log(server, "head POST /a\npause 2\ncomplete 6\n");
  assert_false(client_has(&client, "100 Continue"));
  client_close(&client);
  server_close(server);
}

static void continue_is_said_when_the_body_is_let_in(void **state) {
  (void)state;
  struct server *server = server_open();
  struct client client;
  server->on_complete = say_yes;
  client_open(&client, server);
  client_send(&client,
              "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  run_until(server, server->in && server->in->held);
  assert_false(client_has(&client, "100"));
  cc_inbound_admit(server->in);
  cc_inbound_admit(server->in);
  run_until(server, client_has(&client, "HTTP/1.1 100 Continue\r\n\r\n"));
  assert_int_equal(client.got.size, 25);
  client_send(&client, "hi");
  run_until(server, client_has(&client, "yes"));
  client_close(&client);
  server_close(server);
}

static void refused_early(const char *request, const char *log, int error) {
  struct server *server = server_open();
  struct client client;
  server->settings.body_bytes = 10;
  server->on_refuse = say_no;
  client_open(&client, server);
  client_send(&client, request);
  run_until(server, client_ended(&client));
  assert_log(server, log);
  assert_int_equal(server->error, error);
  assert_true(client_has(&client, "HTTP/1.1 413 "));
  assert_true(client_has(&client, "connection: close\r\n\r\nno"));
  assert_false(client_has(&client, "100 Continue"));
  client_close(&client);
  run_until(server, server->closes == 1);
  assert_int_equal(server->gones, 0);
  server_close(server);
}

static void large_and_malformed_requests_are_refused(void **state) {
  (void)state;
  refused_early("POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n",
                "head POST /a\nrefuse CC_EBODY_SIZE\n", CC_EBODY_SIZE);
  refused_early(
      "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nc\r\nabcdefghijkl",
      "head POST /a\nrefuse CC_EBODY_SIZE\n", CC_EBODY_SIZE);
  refused_early("POST /a HTTP/1.1\r\n\r\n", "refuse CC_EHTTP\n", CC_EHTTP);
  refused_early("\x16\x03\x01", "refuse CC_EHTTP\n", CC_EHTTP);
  refused_early("GET / HTTP/1.1\r\nHost: x\r\nExpect: more\r\n\r\n", "refuse CC_EEXPECT\n",
                CC_EEXPECT);
}

// The client goes on sending and must still be able to read the whole answer.
static void refusal_can_be_read_by_one_who_still_sends(void **state) {
  (void)state;
  struct server *server = server_open();
  struct client client;
  char piece[1000];
  memset(piece, 'x', sizeof piece);
  server->on_refuse = say_no;
  server->settings.body_bytes = 1000;
  client_open(&client, server);
  client_send(&client, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 36000000\r\n\r\n");
  for (size_t sent = 0; sent < 36000000;) {
    ssize_t size = send(client.fd, piece, sizeof piece, MSG_NOSIGNAL | MSG_DONTWAIT);
    assert_true(size > 0 || errno == EAGAIN);
    if (size > 0) sent += (size_t)size;
    uv_run(&server->loop, UV_RUN_NOWAIT);
  }
  run_until(server, client_ended(&client));
  assert_int_equal(client.system, 0);
  assert_true(client_has(&client, "\r\n\r\nno"));
  assert_int_equal(server->closes, 0);
  client_close(&client);
  run_until(server, server->closes == 1);
  server_close(server);
}

static void lingering_is_bounded_in_bytes(void **state) {
  (void)state;
  struct server *server = server_open();
  struct client client;
  static char piece[65536];
  size_t sent = 0;
  server->on_refuse = say_no;
  server->settings.body_bytes = 1000;
  client_open(&client, server);
  client_send(&client, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 900000000\r\n\r\n");
  run_until(server, client_has(&client, "\r\n\r\nno"));
  run_until(server, ({
              ssize_t size = send(client.fd, piece, sizeof piece, MSG_NOSIGNAL);
              if (size > 0) sent += (size_t)size;
              size < 0 && errno != EAGAIN;
            }));
  assert_in_range(sent, 40 << 20, 64 << 20); // the rest is in the kernel's buffers
  assert_int_equal(server->closes, 1);
  client_close(&client);
  server_close(server);
}

static void answer_before_the_body_closes_after_it(void **state) {
  (void)state;
  struct server *server = server_open();
  struct client client;
  server->on_pause = say_no;
  client_open(&client, server);
  client_send(&client, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\nabc");
  run_until(server, client_has(&client, "\r\n\r\nno"));
  assert_true(client_has(&client, "connection: close\r\n"));
  client_send(&client, "more of it");
  run_until(server, client_ended(&client));
  assert_int_equal(client.system, 0);
  assert_log(server, "head POST /a\npause 3\n");
  assert_int_equal(server->closes, 0);
  client_close(&client);
  run_until(server, server->closes == 1);
  server_close(server);
}

static void client_that_leaves_is_noticed(void **state) {
  (void)state;
  for (int reset = 0; reset < 2; reset++) {
    struct server *server = server_open();
    struct client client;
    client_open(&client, server);
    client_send(&client, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    run_until(server, server->completes == 1);
    if (reset)
      client_reset(&client);
    else
      client_close(&client);
    run_until(server, server->closes == 1);
    assert_log(server, "head GET /a\ncomplete 0\ngone CC_ECLIENT_GONE\n");
    server_close(server);
  }
}

static void client_that_leaves_in_its_body_is_noticed(void **state) {
  (void)state;
  struct server *server = server_open();
  struct client client;
  client_open(&client, server);
  client_send(&client, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n");
  run_until(server, server->in && server->in->held);
  cc_inbound_admit(server->in);
  client_close(&client);
  run_until(server, server->closes == 1);
  assert_log(server, "head POST /a\npause 0\ngone CC_ECLIENT_GONE\n");
  server_close(server);
}

static void client_that_leaves_in_its_head_is_nobody(void **state) {
  (void)state;
  struct server *server = server_open();
  struct client client;
  client_open(&client, server);
  client_send(&client, "GET /a HTTP/1.1\r\nHos");
  run_until(server, cc_listeners_connections(server->listeners) == 1);
  client_close(&client);
  run_until(server, server->closes == 1);
  assert_log(server, "");
  server_close(server);
}

static void begin_stream(struct server *server, struct cc_inbound *in) {
  (void)server;
  const struct cc_header headers[] = {{cc_slice_text("x-y"), cc_slice_text("z")},
                                      {cc_slice_text("Connection"), cc_slice_text("evil")},
                                      {cc_slice_text("Content-Length"), cc_slice_text("9")}};
  struct cc_slice parts[] = {{"ab", 2}, {"", 0}, {"cde", 3}};
  assert_int_equal(cc_inbound_head(in, 200, headers, 3, -1), CC_OK);
  assert_int_equal(cc_inbound_head(in, 200, headers, 3, -1), CC_ESTATE);
  assert_int_equal(cc_inbound_write(in, parts, 3), CC_OK);
  assert_int_equal(cc_inbound_write(in, parts + 1, 1), CC_OK);
}

static void stream(struct server *server, struct cc_inbound *in) {
  begin_stream(server, in);
  cc_inbound_end(in);
}

static void pieces_are_chunks(void **state) {
  (void)state;
  struct server *server = server_open();
  struct client client;
  server->on_complete = stream;
  client_open(&client, server);
  client_send(&client, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  run_until(server, client_has(&client, "0\r\n\r\n"));
  assert_true(client_has(&client, "\r\nx-y: z\r\ndate: "));
  assert_true(client_has(&client, "transfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"));
  assert_false(client_has(&client, "evil"));
  assert_false(client_has(&client, "ength: 9"));
  client_close(&client);
  server_close(server);
}

static void old_clients_read_until_close(void **state) {
  (void)state;
  struct server *server = server_open();
  struct client client;
  server->on_complete = stream;
  client_open(&client, server);
  client_send(&client, "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  run_until(server, client_ended(&client));
  assert_int_equal(client.system, 0);
  assert_true(client_has(&client, "connection: close\r\n\r\nabcde"));
  assert_false(client_has(&client, "chunked"));
  client_close(&client);
  server->on_complete = say_yes;
  client_open(&client, server);
  client_send(&client, "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  run_until(server, client_has(&client, "yes"));
  assert_true(client_has(&client, "connection: keep-alive\r\n\r\n"));
  client_close(&client);
  server_close(server);
}

static void say_nothing(struct server *server, struct cc_inbound *in) {
  struct cc_slice part = {"text", 4};
  int status = server->heads == 1 ? 200 : server->heads == 2 ? 204 : 304;
  assert_int_equal(cc_inbound_head(in, status, NULL, 0, 4), CC_OK);
  assert_int_equal(cc_inbound_write(in, &part, 1), CC_OK);
  cc_inbound_end(in);
}

static void some_answers_have_no_body(void **state) {
  (void)state;
  struct server *server = server_open();
  struct client client;
  server->on_complete = say_nothing;
  client_open(&client, server);
  client_send(&client, "HEAD /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n"
                       "GET /c HTTP/1.1\r\nHost: x\r\n\r\n");
  run_until(server, client_has(&client, "HTTP/1.1 304 Not Modified\r\n"));
  assert_true(client_has(&client, "content-length: 4\r\n\r\nHTTP/1.1 204 No Content\r\ndate: "));
  assert_false(client_has(&client, "text"));
  client_close(&client);
  server_close(server);
}

static void unwritable_heads_are_not_written(void **state) {
  (void)state;
  struct server *server = server_open();
  struct client client;
  client_open(&client, server);
  client_send(&client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  run_until(server, server->completes);
  struct cc_slice part = {"abc", 3};
  struct cc_header bad = {cc_slice_text("x"), cc_slice_text("a\r\nb: c")};
  assert_int_equal(cc_inbound_write(server->in, &part, 1), CC_ESTATE);
  assert_int_equal(cc_inbound_head(server->in, 200, &bad, 1, 2), CC_EINVAL);
  bad = (struct cc_header){cc_slice_text("x y"), cc_slice_text("a")};
  assert_int_equal(cc_inbound_head(server->in, 200, &bad, 1, 2), CC_EINVAL);
  assert_int_equal(cc_inbound_head(server->in, 200, NULL, 0, 2), CC_OK);
  assert_int_equal(cc_inbound_write(server->in, &part, 1), CC_ESTATE);
  cc_inbound_break(server->in, false);
  assert_int_equal(cc_inbound_write(server->in, &part, 1), CC_ECLIENT_GONE);
  assert_int_equal(cc_inbound_head(server->in, 200, NULL, 0, 2), CC_ECLIENT_GONE);
  cc_inbound_end(server->in);
  client_close(&client);
  server_close(server);
}

static void start_long(struct server *server, struct cc_inbound *in) {
  struct cc_slice part = {"abc", 3};
  (void)server;
  assert_int_equal(cc_inbound_head(in, 200, NULL, 0, 10), CC_OK);
  assert_int_equal(cc_inbound_write(in, &part, 1), CC_OK);
}

// An answer that is not whole never ends like one that is.
static void broken_answers_look_broken(void **state) {
  (void)state;
  struct {
    const char *request;
    void (*begin)(struct server *server, struct cc_inbound *in);
    bool end, reset;
    int system;
  } rows[] = {
      {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", begin_stream, false, false, 0},
      {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", begin_stream, false, true, ECONNRESET},
      {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", start_long, true, false, 0},
      {"GET / HTTP/1.0\r\nHost: x\r\n\r\n", begin_stream, false, false, ECONNRESET},
      {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", NULL, true, false, 0},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct server *server = server_open();
    struct client client;
    server->on_complete = rows[i].begin;
    client_open(&client, server);
    client_send(&client, rows[i].request);
    run_until(server, server->completes && (!rows[i].begin || client_has(&client, "abc")));
    if (rows[i].end)
      cc_inbound_end(server->in);
    else
      cc_inbound_break(server->in, rows[i].reset);
    run_until(server, client_ended(&client));
    assert_int_equal(client.system, rows[i].system);
    assert_false(client_has(&client, "\r\n0\r\n\r\n"));
    run_until(server, server->closes == 1);
    assert_int_equal(server->gones, 0);
    client_close(&client);
    server_close(server);
  }
}

// ---- Deadlines: short ones, and what they lead to ----------------------------------------------

// One byte at a time does not move the deadline, for the first request or a later one.
static void slow_head_is_refused(void **state) {
  (void)state;
  for (int later = 0; later < 2; later++) {
    struct server *server = server_open();
    struct client client;
    server->settings.head_ms = later ? 60000 : 60;
    server->on_refuse = say_no;
    server->on_complete = say_yes;
    client_open(&client, server);
    if (later) {
      client_send(&client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
      run_until(server, client_has(&client, "yes"));
      server->settings.head_ms = 60;
    }
    client_send(&client, "G");
    run_until(server, ({
                if (!client_has(&client, "413")) (void)!send(client.fd, "E", 1, MSG_NOSIGNAL);
                server->error == CC_EHEAD_TIMEOUT;
              }));
    run_until(server, client_ended(&client));
    assert_true(client_has(&client, "\r\n\r\nno"));
    client_close(&client);
    server_close(server);
  }
}

static void silent_connection_is_closed(void **state) {
  (void)state;
  struct server *server = server_open();
  struct client client;
  server->settings.head_ms = 30;
  server->settings.keepalive_ms = 30;
  server->on_complete = say_yes;
  client_open(&client, server);
  run_until(server, client_ended(&client));
  assert_int_equal(client.got.size, 0);
  client_close(&client);
  server->settings.head_ms = 60000;
  client_open(&client, server);
  client_send(&client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  run_until(server, client_ended(&client));
  assert_true(client_has(&client, "yes"));
  assert_log(server, "head GET /\ncomplete 0\n");
  client_close(&client);
  server_close(server);
}

static void slow_body_is_refused(void **state) {
  (void)state;
  struct server *server = server_open();
  struct client client;
  server->settings.body_ms = 30;
  server->on_refuse = say_no;
  client_open(&client, server);
  client_send(&client, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nab");
  run_until(server, server->in && server->in->held);
  cc_inbound_admit(server->in);
  run_until(server, client_ended(&client));
  assert_log(server, "head POST /\npause 2\nrefuse CC_EIDLE_TIMEOUT\n");
  assert_true(client_has(&client, "\r\n\r\nno"));
  client_close(&client);
  server_close(server);
}

static void flood(struct server *server, struct cc_inbound *in) {
  static char piece[65536];
  struct cc_slice part = {piece, sizeof piece};
  (void)server;
  assert_int_equal(cc_inbound_head(in, 200, NULL, 0, 400 * 65536.0), CC_OK);
  for (int i = 0; i < 400; i++)
    assert_int_equal(cc_inbound_write(in, &part, 1), CC_OK);
}

static void client_that_takes_nothing_is_given_up(void **state) {
  (void)state;
  struct server *server = server_open();
  struct client client;
  server->settings.write_ms = 60;
  server->on_complete = flood;
  client_open(&client, server);
  client_send(&client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  run_until(server, server->closes == 1);
  assert_log(server, "head GET /\ncomplete 0\ngone CC_EWRITE_TIMEOUT\n");
  client_close(&client);
  server_close(server);
}

static void flood_and_end(struct server *server, struct cc_inbound *in) {
  flood(server, in);
  assert_true(cc_inbound_queued(in) > 0);
  cc_inbound_end(in);
}

// Slower than the deadline on the whole, but never silent for as long; the end has been said long
// before the bytes have gone, and neither keep-alive nor closing may cut them off.
static void client_that_takes_little_gets_all(void **state) {
  (void)state;
  for (int keep = 0; keep < 2; keep++) {
    struct server *server = server_open();
    struct client client;
    static char piece[65536];
    double got = 0;
    uint64_t last = 0;
    int few = 131072;
    server->settings.write_ms = 1000;
    server->settings.keepalive_ms = 100;
    server->on_complete = flood_and_end;
    client_open(&client, server);
    setsockopt(client.fd, SOL_SOCKET, SO_RCVBUF, &few, sizeof few);
    client_send(&client, keep ? "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
                              : "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    run_until(server, ({
                ssize_t size = -1;
                if (uv_now(&server->loop) >= last + (keep ? 0 : 4)) {
                  last = uv_now(&server->loop);
                  size = recv(client.fd, piece, sizeof piece, 0);
                  if (size > 0) got += (double)size;
                }
                size == 0;
              }));
    assert_true(got > 400 * 65536.0);
    assert_int_equal(server->gones, 0);
    client_close(&client);
    server_close(server);
  }
}

static void drain_is_told(void **state) {
  (void)state;
  struct server *server = server_open();
  struct client client;
  server->on_complete = flood;
  client_open(&client, server);
  client_send(&client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  run_until(server, server->completes);
  assert_true(cc_inbound_queued(server->in) > 0);
  assert_int_equal(server->drains, 0);
  run_until(server, (client_read(&client), server->drains > 0));
  assert_int_equal(cc_inbound_queued(server->in), 0);
  client_close(&client);
  server_close(server);
}

static void draining_closes_what_is_idle_and_ends_the_rest(void **state) {
  (void)state;
  struct server *server = server_open();
  struct client idle, busy, streaming;
  client_open(&idle, server);
  client_open(&streaming, server);
  client_send(&streaming, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  server->on_complete = begin_stream;
  run_until(server, client_has(&streaming, "abcde"));
  struct cc_inbound *first = server->in;
  server->on_complete = NULL;
  client_open(&busy, server);
  client_send(&busy, "GET /b HTTP/1.1\r\nHost: x\r\n\r\n");
  run_until(server, server->completes == 2);
  cc_listeners_drain(server->listeners);
  run_until(server, client_ended(&idle));
  assert_false(client_ended(&busy));
  say(server->in, 200, "yes");
  run_until(server, client_ended(&busy));
  assert_true(client_has(&busy, "connection: close\r\n\r\nyes"));
  cc_inbound_end(first);
  run_until(server, client_ended(&streaming));
  assert_true(client_has(&streaming, "0\r\n\r\n"));
  client_close(&idle);
  client_close(&busy);
  client_close(&streaming);
  server_close(server);
}

static void everything_works_byte_by_byte(void **state) {
  (void)state;
  struct server *server = server_open();
  struct client client;
  const char *text = "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "3;x=y\r\nabc\r\n0\r\nT: u\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n";
  server->on_complete = say_yes;
  server->on_pause = NULL;
  client_open(&client, server);
  for (const char *at = text; *at; at++) {
    char one[2] = {*at, 0};
    client_send(&client, one);
    for (int i = 0; i < 3; i++)
      uv_run(&server->loop, UV_RUN_NOWAIT);
    if (server->in && server->in->held) cc_inbound_admit(server->in);
  }
  run_until(server, server->completes == 2);
  assert_log(server, "head POST /a\npause 0\ncomplete 3\nhead GET /b\ncomplete 0\n");
  client_close(&client);
  server_close(server);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(answers_and_keeps_the_connection),
      cmocka_unit_test(tells_the_peer),
      cmocka_unit_test(pipelined_requests_are_answered_in_order),
      cmocka_unit_test(what_comes_early_is_bounded),
      cmocka_unit_test(body_waits_until_it_is_let_in),
      cmocka_unit_test(continue_is_said_when_the_body_is_let_in),
      cmocka_unit_test(large_and_malformed_requests_are_refused),
      cmocka_unit_test(refusal_can_be_read_by_one_who_still_sends),
      cmocka_unit_test(lingering_is_bounded_in_bytes),
      cmocka_unit_test(answer_before_the_body_closes_after_it),
      cmocka_unit_test(client_that_leaves_is_noticed),
      cmocka_unit_test(client_that_leaves_in_its_body_is_noticed),
      cmocka_unit_test(client_that_leaves_in_its_head_is_nobody),
      cmocka_unit_test(pieces_are_chunks),
      cmocka_unit_test(old_clients_read_until_close),
      cmocka_unit_test(some_answers_have_no_body),
      cmocka_unit_test(unwritable_heads_are_not_written),
      cmocka_unit_test(broken_answers_look_broken),
      cmocka_unit_test(slow_head_is_refused),
      cmocka_unit_test(silent_connection_is_closed),
      cmocka_unit_test(slow_body_is_refused),
      cmocka_unit_test(client_that_takes_nothing_is_given_up),
      cmocka_unit_test(client_that_takes_little_gets_all),
      cmocka_unit_test(drain_is_told),
      cmocka_unit_test(draining_closes_what_is_idle_and_ends_the_rest),
      cmocka_unit_test(everything_works_byte_by_byte),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
