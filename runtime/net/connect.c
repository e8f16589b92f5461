// SPDX-License-Identifier: Apache-2.0
#include "net/connect.h"
#include "api/error.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

enum { DETAIL = 120 };

struct attempt {
  struct cc_stream stream; // first, so that whoever gets the stream can free it
  struct cc_connector *connector;
  int address;
  TAILQ_ENTRY(attempt) entry;
};

struct cc_connector {
  uv_timer_t timer; // until the next address is tried beside those under way
  struct cc_addresses addresses;
  int next; // address
  uint16_t port;
  TAILQ_HEAD(, attempt) attempts; // under way
  void (*on_done)(void *data, const struct cc_connected *result);
  void *data;
  int error; // the most telling one so far
  char detail[DETAIL];
  unsigned handles; // open; freed when none
};

static void release(struct cc_connector *connector) {
  if (--connector->handles == 0) free(connector);
}

static void timer_closed(uv_handle_t *handle) {
  release((struct cc_connector *)handle);
}

static void attempt_closed(struct cc_stream *stream) {
  struct attempt *attempt = (struct attempt *)stream;
  release(attempt->connector);
  free(attempt);
}

static void give_up(struct attempt *attempt) {
  TAILQ_REMOVE(&attempt->connector->attempts, attempt, entry);
  cc_stream_reset(&attempt->stream);
}

void cc_connector_close(struct cc_connector *connector) {
  while (!TAILQ_EMPTY(&connector->attempts))
    give_up(TAILQ_FIRST(&connector->attempts));
  uv_close((uv_handle_t *)&connector->timer, timer_closed);
}

// A refusal by one address says more than "could not connect" to another.
static void note(struct cc_connector *connector, int error, const char *detail) {
  if (error == CC_ECONNECT && connector->error) return;
  connector->error = error;
  snprintf(connector->detail, sizeof connector->detail, "%s", detail);
}

static void start_next(struct cc_connector *connector);

// Without a descriptor left, an address gets that of the oldest attempt.
static bool make_room(struct cc_connector *connector) {
  if (TAILQ_EMPTY(&connector->attempts)) return false;
  give_up(TAILQ_FIRST(&connector->attempts));
  return true;
}

static void attempt_failed(struct attempt *attempt, int error) {
  struct cc_connector *connector = attempt->connector;
  int address = attempt->address;
  note(connector, error, cc_stream_detail(&attempt->stream));
  give_up(attempt);
  if (error == CC_EROOM && make_room(connector)) connector->next = address;
  if (connector->next < connector->addresses.count) {
    start_next(connector);
  } else if (TAILQ_EMPTY(&connector->attempts)) {
    cc_connector_close(connector);
    struct cc_connected result = {.error = connector->error, .detail = connector->detail};
    connector->on_done(connector->data, &result);
  }
}

static void attempt_ready(struct cc_stream *stream, int error) {
  struct attempt *attempt = (struct attempt *)stream;
  struct cc_connector *connector = attempt->connector;
  if (error) {
    attempt_failed(attempt, error);
    return;
  }
  struct cc_connected result = {.detail = "", .stream = stream};
  result.address = connector->addresses.list[attempt->address];
  TAILQ_REMOVE(&connector->attempts, attempt, entry);
  cc_connector_close(connector);
  connector->on_done(connector->data, &result);
  release(connector); // for the stream, which is the owner's now
}

static const struct cc_stream_events events = {.ready = attempt_ready, .closed = attempt_closed};

static void delay_over(uv_timer_t *timer) {
  start_next((struct cc_connector *)timer);
}

static void start_next(struct cc_connector *connector) {
  struct attempt *attempt = cc_alloc(sizeof *attempt);
  attempt->connector = connector;
  attempt->address = connector->next++;
  union cc_address address = connector->addresses.list[attempt->address];
  cc_address_set_port(&address, connector->port);
  TAILQ_INSERT_TAIL(&connector->attempts, attempt, entry);
  connector->handles++;
  cc_stream_connect(&attempt->stream, connector->timer.loop, &address.any, &events);
  if (connector->next < connector->addresses.count)
    uv_timer_start(&connector->timer, delay_over, CC_CONNECT_DELAY_MS, 0);
  else
    uv_timer_stop(&connector->timer);
}

struct cc_connector *
cc_connector_new(uv_loop_t *loop, const struct cc_addresses *addresses, uint16_t port,
                 void (*on_done)(void *data, const struct cc_connected *result), void *data) {
  struct cc_connector *connector = cc_alloc(sizeof *connector);
  uv_timer_init(loop, &connector->timer);
  connector->handles = 1;
  connector->addresses = *addresses;
  connector->port = port;
  connector->on_done = on_done;
  connector->data = data;
  TAILQ_INIT(&connector->attempts);
  start_next(connector);
  return connector;
}
