// SPDX-License-Identifier: Apache-2.0
// The relay of a process: its loop, and cc_next, through which Lua runs it.
#include "api/attempt.h"
#include "api/histogram.h"
#include "api/util.h"
#include "base/descriptors.h"
#include "base/error.h"
#include "exchange/exchange.h"
#include "jobs/job.h"
#include "net/listener.h"
#include "net/outbound.h"
#include "net/resolve.h"
#include "net/watch.h"
#include "process/channel.h"
#include "process/signals.h"
#include "script/watchdog.h"
#include "shared/shared.h"
#include <stdlib.h>
#include <string.h>

static const double LOOK_MS = 5; // longest time that the loop waits while events go to Lua

static const struct cc_settings defaults = {
    .body_bytes = 32 * 1024 * 1024,
    .content_ms = 600 * 1000,
    .idle_ms = 300 * 1000,
    .idle_connections = 4096,
};

static const struct cc_bounds bounds = {
    .event_bytes = 24 * 1024 * 1024,
    .write_ms = 60 * 1000,
    .last_ms = 2000,
    .ping_ms = CC_PING_MS,
};

static const struct cc_http1_limits http1_limits = {
    .head_bytes = 64 * 1024,
    .headers = CC_MOST_HEADERS,
    .target_bytes = 8 * 1024,
};

// A relay with what only this file needs.
struct relay {
  struct cc_relay shared; // first
  struct cc_inbound_settings inbound_settings;
  uint32_t most_clients; // open connections
  struct cc_trust trust;
  struct cc_resolver *resolver;
  struct cc_watch *watches;
  double looked;                 // cc_now() when the loop ran last
  bool handled;                  // an event went to Lua since then
  int lag;                       // histogram of such times; negative: none
  struct cc_exchange *delivered; // DONE went to Lua; freed at the next cc_next
};

static struct relay *whole(struct cc_relay *shared) {
  return (struct relay *)shared;
}

// ---- Events ------------------------------------------------------------------------------------

// An event that was posted before its exchange or attempt ended must not reach Lua after that.
static bool is_void(struct cc_relay *relay, const struct cc_event *event) {
  if (event->type == CC_EVENT_FETCH) return false;
  if (event->type == CC_EVENT_MESSAGE) return !cc_channel_take(relay, event->detail);
  if (!event->id || event->type == CC_EVENT_DONE) return false;
  return !cc_exchange_expects(relay, event);
}

static bool take_event(struct cc_relay *relay, struct cc_event *event) {
  while (cc_events_take(&relay->events, event))
    if (!is_void(relay, event)) return true;
  return false;
}

static void measure_lag(struct relay *own) {
  if (own->handled && own->lag >= 0) cc_histogram_add(own->lag, cc_now() - own->looked);
  own->handled = false;
}

static bool run_loop(struct cc_relay *relay, uv_run_mode mode) {
  measure_lag(whole(relay));
  cc_shared_busy(0);
  bool alive = uv_run(&relay->loop, mode);
  double now = whole(relay)->looked = cc_now();
  cc_shared_busy(now);
  return alive;
}

// Many events may wait while Lua takes long for each, so the loop runs in between and bytes flow. What Lua
// posts stops the next run before it begins, so there is a second one.
static void look_at_loop(struct cc_relay *relay) {
  double now = cc_now();
  cc_shared_busy(now);
  if (now - whole(relay)->looked < LOOK_MS) return;
  run_loop(relay, UV_RUN_NOWAIT);
  run_loop(relay, UV_RUN_NOWAIT);
}

// What scripts allocate in a turn counts for the exchange of its event, if there is one.
static void begin_turn(struct cc_relay *relay, cc_id id) {
  cc_watchdog_begin(id ? cc_exchange_script_bytes(relay, id) : NULL);
}

bool cc_next(struct cc_relay *relay, struct cc_event *event) {
  cc_watchdog_end();
  struct cc_exchange **delivered = &whole(relay)->delivered;
  if (*delivered) cc_exchange_free(*delivered);
  *delivered = NULL;
  cc_jobs_free(relay, false);
  if (relay->events.count) look_at_loop(relay);
  while (!take_event(relay, event))
    if (!run_loop(relay, UV_RUN_ONCE) && !relay->events.count) return false;
  whole(relay)->handled = true;
  if (event->type == CC_EVENT_FETCH) cc_job_notified(relay, event->id);
  if (event->type == CC_EVENT_DONE) *delivered = cc_ids_find(&relay->exchanges, event->id);
  begin_turn(relay, event->type == CC_EVENT_FETCH ? 0 : event->id);
  return true;
}

void cc_measure_lag(struct cc_relay *relay, int histogram) {
  whole(relay)->lag = histogram;
}

void cc_watchdog_restart(struct cc_relay *relay, cc_id id) {
  cc_watchdog_end();
  begin_turn(relay, id);
}

// ---- Settings ----------------------------------------------------------------------------------

void cc_configure(struct cc_relay *relay, const struct cc_settings *settings) {
  relay->settings = *settings;
  whole(relay)->most_clients = cc_descriptors_clients();
  whole(relay)->inbound_settings = (struct cc_inbound_settings){
      .limits = http1_limits,
      .body_bytes = settings->body_bytes,
      .head_ms = 30 * 1000,
      .body_ms = 60 * 1000,
      .keepalive_ms = 75 * 1000,
      .write_ms = relay->bounds.write_ms,
      .trust = &whole(relay)->trust,
  };
  struct cc_pool_settings pool = {
      .idle_ms = 55 * 1000,
      .age_ms = 600 * 1000,
      .size = settings->idle_connections,
      .connect_ms = 10 * 1000,
      .limits = http1_limits,
      .most = cc_descriptors_upstreams(),
  };
  cc_pool_configure(relay->pool, &pool);
}

// ---- Timers and watches ------------------------------------------------------------------------

int cc_timer(struct cc_relay *relay, int number, double delay_ms) {
  return cc_timers_set(&relay->timers, number, delay_ms);
}

static void folder_changed(void *data, int watch) {
  struct cc_relay *relay = data;
  cc_events_post(&relay->events, CC_EVENT_FILE, watch, 0);
}

int cc_watch(struct cc_relay *relay, const char *path) {
  return cc_watch_add(whole(relay)->watches, path);
}

void cc_unwatch(struct cc_relay *relay, int watch) {
  cc_watch_remove(whole(relay)->watches, watch);
}

// ---- Listeners and origins ---------------------------------------------------------------------

int cc_listen(struct cc_relay *relay, const struct cc_listen *spec) {
  return cc_listeners_bind(relay->listeners, spec);
}

int cc_trust_proxies(struct cc_relay *relay, const char *list, uint32_t size) {
  return cc_trust_set(&whole(relay)->trust, cc_slice(list, size));
}

bool cc_is_range(const char *text) {
  struct cc_range range;
  return cc_range_parse(cc_slice_text(text), &range);
}

uint32_t cc_listener_port(struct cc_relay *relay, int listener) {
  return cc_listeners_port(relay->listeners, listener);
}

int cc_tls_prepare(struct cc_relay *relay, const uint8_t *digest) {
  return cc_identity_prepare(cc_listeners_identity(relay->listeners), digest);
}

void cc_tls_commit(struct cc_relay *relay) {
  cc_identity_commit(cc_listeners_identity(relay->listeners));
}

int cc_accept(struct cc_relay *relay, int listener, uint32_t copy) {
  return cc_listeners_accept(relay->listeners, listener, copy);
}

void cc_drain(struct cc_relay *relay) {
  cc_listeners_drain(relay->listeners);
}

uint32_t cc_connections(struct cc_relay *relay) {
  return cc_listeners_connections(relay->listeners);
}

uint32_t cc_exchanges(struct cc_relay *relay) {
  return relay->exchanges.used;
}

void cc_abandon(struct cc_relay *relay) {
  struct cc_exchange *exchange;
  for (uint32_t slot = 0; (exchange = cc_ids_next(&relay->exchanges, &slot));)
    cc_exchange_abandon(exchange);
}

static char *text_of(struct cc_slice slice) {
  return slice.size ? cc_copy_text(slice.data, slice.size) : NULL;
}

int cc_origin(struct cc_relay *relay, const struct cc_origin *spec) {
  if (!spec->host.size || !spec->port || spec->port > 65535) return CC_EINVAL;
  struct cc_origin_key key = {
      .tls = spec->tls,
      .allow_public_http = spec->allow_public_http,
      .host = text_of(spec->host),
      .port = (uint16_t)spec->port,
      .ca_file = text_of(spec->ca_file),
      .proxy_host = text_of(spec->proxy_host),
      .proxy_port = (uint16_t)spec->proxy_port,
      .proxy_auth = text_of(spec->proxy_auth),
  };
  int origin = cc_pool_origin(relay->pool, &key);
  free(key.host);
  free(key.ca_file);
  free(key.proxy_host);
  if (key.proxy_auth) cc_wipe(key.proxy_auth, strlen(key.proxy_auth));
  free(key.proxy_auth);
  return origin;
}

// ---- Life --------------------------------------------------------------------------------------

struct cc_relay *cc_open(void) {
  struct relay *own = cc_alloc(sizeof *own);
  struct cc_relay *relay = &own->shared;
  if (uv_loop_init(&relay->loop) != 0) abort();
  relay->loop.data = relay;
  relay->events.loop = &relay->loop;
  relay->bounds = bounds;
  own->lag = -1;
  own->resolver = cc_resolver_new(&relay->loop);
  own->watches = cc_watch_new(&relay->loop, folder_changed, relay);
  relay->pool = cc_pool_new(&relay->loop, own->resolver);
  relay->listeners = cc_listeners_new(&relay->loop, &own->inbound_settings, &own->most_clients,
                                      &cc_exchange_inbound, relay);
  cc_timers_init(&relay->timers, &relay->events);
  cc_configure(relay, &defaults);
  return relay;
}

static void free_exchanges(struct cc_relay *relay) {
  struct cc_exchange *exchange;
  for (uint32_t slot = 0; (exchange = cc_ids_next(&relay->exchanges, &slot));)
    cc_exchange_free(exchange);
  whole(relay)->delivered = NULL;
}

void cc_close(struct cc_relay *relay) {
  free_exchanges(relay);
  cc_jobs_free(relay, true);
  cc_listeners_close(relay->listeners);
  cc_channels_close(relay);
  cc_watch_close(whole(relay)->watches);
  cc_pool_close(relay->pool);
  cc_resolver_close(whole(relay)->resolver);
  cc_timers_close(&relay->timers);
  cc_signals_close(relay);
  while (uv_run(&relay->loop, UV_RUN_DEFAULT)) // it returns early when an event is posted
    continue;
  free_exchanges(relay);
  uv_loop_close(&relay->loop);
  cc_ids_free(&relay->exchanges);
  cc_events_free(&relay->events);
  cc_trust_free(&whole(relay)->trust);
  free(relay);
}
