// SPDX-License-Identifier: Apache-2.0
// The relay of a process: its loop, and cc_next, through which Lua runs it.
#include "base/descriptors.h"
#include "base/error.h"
#include "loop/engine.h"
#include "script/watchdog.h"
#include "shared/shared.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const double SLOTS = 1 << 20; // an id is generation * SLOTS + slot
static const double LOOK_MS = 5;     // how long events in Lua may keep the loop waiting

static const struct cc_settings defaults = {
    .head_bytes = 64 * 1024,
    .headers = 128,
    .target_bytes = 8 * 1024,
    .body_bytes = 32 * 1024 * 1024,
    .connections = 0,
    .event_bytes = 24 * 1024 * 1024,
    .buffer_bytes = 64 * 1024,
    .head_ms = 30 * 1000,
    .body_ms = 60 * 1000,
    .keepalive_ms = 75 * 1000,
    .write_ms = 60 * 1000,
    .content_ms = 600 * 1000,
    .total_ms = 0,
    .connect_ms = 10 * 1000,
    .idle_ms = 300 * 1000,
    .ping_ms = 15 * 1000,
    .pool_idle_ms = 55 * 1000,
    .pool_age_ms = 600 * 1000,
    .pool_size = 64,
};

// ---- Events ------------------------------------------------------------------------------------

static void grow_events(struct cc_relay *relay) {
  uint32_t capacity = relay->event_capacity ? relay->event_capacity * 2 : 64;
  struct cc_event *grown = cc_alloc(capacity * sizeof *grown);
  for (uint32_t i = 0; i < relay->event_count; i++)
    grown[i] = relay->events[(relay->event_first + i) % relay->event_capacity];
  free(relay->events);
  relay->events = grown;
  relay->event_first = 0;
  relay->event_capacity = capacity;
}

// Messages go first: another policy is to serve before the next requests meet the one that fails.
// One is like another, as their texts wait in order elsewhere.
void cc_relay_post(struct cc_relay *relay, uint32_t type, int32_t detail, cc_id id) {
  if (relay->event_count == relay->event_capacity) grow_events(relay);
  uint32_t capacity = relay->event_capacity;
  uint32_t at = (relay->event_first + relay->event_count++) % capacity;
  if (type == CC_EVENT_MESSAGE)
    at = relay->event_first = (relay->event_first + capacity - 1) % capacity;
  relay->events[at] = (struct cc_event){type, detail, id};
  uv_stop(&relay->loop); // older libuv runs timers first, and would then wait with this one queued
}

// What was posted before an exchange or attempt was over must not reach Lua after it.
static bool is_void(struct cc_relay *relay, const struct cc_event *event) {
  if (event->type == CC_EVENT_FETCH) return false;
  if (event->type == CC_EVENT_MESSAGE) return !cc_channels_take(relay, event->detail);
  if (!event->id || event->type == CC_EVENT_DONE) return false;
  struct cc_exchange *exchange = cc_relay_exchange(relay, event->id);
  if (!exchange || exchange->phase == CC_OVER) return true;
  if (event->type != CC_EVENT_OUTCOME) return false;
  const struct cc_attempt *attempt = exchange->attempts[event->detail];
  return !attempt || attempt->phase != CC_SETTLED; // given up in the meantime
}

static bool take_event(struct cc_relay *relay, struct cc_event *event) {
  while (relay->event_count) {
    *event = relay->events[relay->event_first];
    relay->event_first = (relay->event_first + 1) % relay->event_capacity;
    relay->event_count--;
    if (!is_void(relay, event)) return true;
  }
  return false;
}

static bool run_loop(struct cc_relay *relay, uv_run_mode mode) {
  cc_shared_busy(0);
  bool alive = uv_run(&relay->loop, mode);
  relay->looked = cc_now();
  cc_shared_beat(relay->looked);
  cc_shared_busy(relay->looked);
  return alive;
}

// Many events may wait while Lua takes long for each: bytes are to flow in between. What Lua posts
// stops the next run before it begins, so there is a second one.
static void look_at_loop(struct cc_relay *relay) {
  double now = cc_now();
  cc_shared_busy(now);
  if (now - relay->looked < LOOK_MS) return;
  run_loop(relay, UV_RUN_NOWAIT);
  run_loop(relay, UV_RUN_NOWAIT);
}

// What scripts allocate in a stay counts for its exchange, if it is one's.
static void begin_stay(struct cc_relay *relay, cc_id id) {
  struct cc_exchange *exchange = cc_relay_exchange(relay, id);
  cc_watchdog_begin(exchange ? &exchange->script_bytes : NULL);
}

bool cc_next(struct cc_relay *relay, struct cc_event *event) {
  cc_watchdog_end();
  if (relay->delivered) cc_exchange_free(relay->delivered);
  relay->delivered = NULL;
  cc_jobs_free(relay, false);
  if (relay->event_count) look_at_loop(relay);
  while (!take_event(relay, event))
    if (!run_loop(relay, UV_RUN_ONCE) && !relay->event_count) return false;
  if (event->type == CC_EVENT_FETCH) cc_job_notified(relay, event->id);
  if (event->type == CC_EVENT_DONE) relay->delivered = cc_relay_exchange(relay, event->id);
  begin_stay(relay, event->type == CC_EVENT_FETCH ? 0 : event->id);
  return true;
}

void cc_watchdog_restart(struct cc_relay *relay, cc_id id) {
  cc_watchdog_end();
  begin_stay(relay, id);
}

// ---- Ids ---------------------------------------------------------------------------------------

struct cc_exchange *cc_relay_exchange(struct cc_relay *relay, cc_id id) {
  if (!(id >= SLOTS) || id > 9007199254740991.0) return NULL;
  uint64_t whole = (uint64_t)id;
  uint32_t slot = (uint32_t)(whole & ((1 << 20) - 1));
  if (slot >= relay->slot_count || relay->slots[slot].generation != (uint32_t)(whole >> 20))
    return NULL;
  return relay->slots[slot].exchange;
}

static void grow_slots(struct cc_relay *relay) {
  uint32_t count = relay->slot_count ? relay->slot_count * 2 : 64;
  if (count > (uint32_t)SLOTS) abort();
  relay->slots = cc_realloc(relay->slots, count * sizeof *relay->slots);
  relay->free_slots = cc_realloc(relay->free_slots, count * sizeof *relay->free_slots);
  for (uint32_t slot = count; slot-- > relay->slot_count;) {
    relay->slots[slot] = (struct cc_slot){NULL, 0};
    relay->free_slots[relay->free_count++] = slot;
  }
  relay->slot_count = count;
}

void cc_relay_admit(struct cc_relay *relay, struct cc_exchange *exchange) {
  if (!relay->free_count) grow_slots(relay);
  uint32_t index = relay->free_slots[--relay->free_count];
  struct cc_slot *slot = &relay->slots[index];
  slot->exchange = exchange;
  slot->generation++;
  exchange->slot = index;
  exchange->id = (double)slot->generation * SLOTS + index;
  relay->open++;
}

void cc_relay_dismiss(struct cc_relay *relay, struct cc_exchange *exchange) {
  relay->slots[exchange->slot].exchange = NULL;
  relay->free_slots[relay->free_count++] = exchange->slot;
  relay->open--;
}

// ---- Settings ----------------------------------------------------------------------------------

void cc_settings(struct cc_relay *relay, struct cc_settings *settings) {
  *settings = relay->settings;
}

static struct cc_http1_limits limits_of(const struct cc_settings *settings) {
  return (struct cc_http1_limits){settings->head_bytes, settings->headers, settings->target_bytes};
}

int cc_configure(struct cc_relay *relay, const struct cc_settings *settings) {
  if (settings->head_bytes < 1024 || !settings->headers || settings->target_bytes < 64 ||
      !settings->event_bytes || !settings->buffer_bytes)
    return CC_EINVAL;
  uint32_t share = cc_descriptors_clients(), most = settings->connections;
  relay->settings = *settings;
  relay->most_clients = most && most < share ? most : share;
  relay->inbound_settings = (struct cc_inbound_settings){
      .limits = limits_of(settings),
      .body_bytes = settings->body_bytes,
      .head_ms = settings->head_ms,
      .body_ms = settings->body_ms,
      .keepalive_ms = settings->keepalive_ms,
      .write_ms = settings->write_ms,
  };
  struct cc_pool_settings pool = {settings->pool_idle_ms, settings->pool_age_ms,
                                  settings->pool_size,    settings->connect_ms,
                                  limits_of(settings),    cc_descriptors_upstreams()};
  cc_pool_configure(relay->pool, &pool);
  return CC_OK;
}

// ---- Timers, signals, watches ------------------------------------------------------------------

static void on_clock(struct cc_timer *timer) {
  struct cc_clock *clock = timer->data;
  cc_relay_post(clock->relay, CC_EVENT_TIMER, clock->number, 0);
}

int cc_timer(struct cc_relay *relay, int number, double delay_ms) {
  if (number < 0 || number >= CC_TIMERS || delay_ms > 2147483647.0) return CC_EINVAL;
  struct cc_timer *timer = &relay->clocks[number].timer;
  cc_timer_stop(timer);
  if (delay_ms >= 0)
    cc_timer_set(timer, (uint64_t)delay_ms + 1);
  else
    uv_timer_stop(&timer->handle);
  return CC_OK;
}

static void signalled(uv_signal_t *handle, int number) {
  struct cc_signal_watch *watch = (struct cc_signal_watch *)handle;
  if (number == SIGCHLD)
    cc_workers_reap(watch->relay);
  else
    cc_relay_post(watch->relay, CC_EVENT_SIGNAL, number, 0);
}

int cc_signal(struct cc_relay *relay, int number) {
  if (relay->signal_count == CC_SIGNALS) return CC_ELIMIT;
  struct cc_signal_watch *watch = &relay->signals[relay->signal_count++];
  watch->relay = relay;
  uv_signal_init(&relay->loop, &watch->handle);
  return uv_signal_start(&watch->handle, signalled, number) == 0 ? CC_OK : CC_EINVAL;
}

static void folder_changed(void *data, int watch) {
  cc_relay_post(data, CC_EVENT_FILE, watch, 0);
}

int cc_watch(struct cc_relay *relay, const char *path) {
  return cc_watch_add(relay->watches, path);
}

void cc_unwatch(struct cc_relay *relay, int watch) {
  cc_watch_remove(relay->watches, watch);
}

// ---- Listeners and origins ---------------------------------------------------------------------

int cc_listen(struct cc_relay *relay, const struct cc_listen *spec) {
  return cc_listeners_bind(relay->listeners, spec);
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
  relay->draining = true;
  cc_listeners_drain(relay->listeners);
}

uint32_t cc_connections(struct cc_relay *relay) {
  return cc_listeners_connections(relay->listeners);
}

uint32_t cc_exchanges(struct cc_relay *relay) {
  return relay->open;
}

void cc_abandon(struct cc_relay *relay) {
  for (uint32_t i = 0; i < relay->slot_count; i++) {
    struct cc_exchange *exchange = relay->slots[i].exchange;
    if (!exchange || exchange->phase == CC_OVER) continue;
    exchange->break_with_event = true;
    if (exchange->chosen)
      cc_pump_fail(exchange->chosen, CC_ECANCELLED);
    else
      cc_exchange_break_answer(exchange, false);
    cc_exchange_finish(exchange, CC_ECANCELLED);
  }
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
  struct cc_relay *relay = cc_alloc(sizeof *relay);
  if (uv_loop_init(&relay->loop) != 0) abort();
  relay->loop.data = relay;
  relay->resolver = cc_resolver_new(&relay->loop);
  relay->pool = cc_pool_new(&relay->loop, relay->resolver);
  relay->watches = cc_watch_new(&relay->loop, folder_changed, relay);
  relay->settings = defaults;
  relay->listeners = cc_listeners_new(&relay->loop, &relay->inbound_settings, &relay->most_clients,
                                      &cc_exchange_inbound, relay);
  for (int i = 0; i < CC_TIMERS; i++) {
    struct cc_clock *clock = &relay->clocks[i];
    clock->relay = relay;
    clock->number = i;
    cc_timer_init(&clock->timer, &relay->loop, on_clock);
    clock->timer.data = clock;
  }
  cc_configure(relay, &defaults);
  return relay;
}

static void free_exchanges(struct cc_relay *relay) {
  for (uint32_t i = 0; i < relay->slot_count; i++)
    if (relay->slots[i].exchange) cc_exchange_free(relay->slots[i].exchange);
  relay->delivered = NULL;
}

void cc_close(struct cc_relay *relay) {
  relay->closing = true;
  free_exchanges(relay);
  cc_jobs_free(relay, true);
  cc_listeners_close(relay->listeners);
  cc_channels_close(relay);
  cc_watch_close(relay->watches);
  cc_pool_close(relay->pool);
  cc_resolver_close(relay->resolver);
  for (int i = 0; i < CC_TIMERS; i++)
    cc_timer_close(&relay->clocks[i].timer, NULL);
  for (int i = 0; i < relay->signal_count; i++)
    uv_close((uv_handle_t *)&relay->signals[i].handle, NULL);
  while (uv_run(&relay->loop, UV_RUN_DEFAULT)) // it returns early when an event is posted
    continue;
  free_exchanges(relay);
  uv_loop_close(&relay->loop);
  cc_buffer_free(&relay->message);
  free(relay->slots);
  free(relay->free_slots);
  free(relay->events);
  free(relay);
}
