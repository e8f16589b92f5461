// SPDX-License-Identifier: Apache-2.0
// Keeps track of connections: with a user, in the idle list of its origin, or being closed by the loop.
#include "net/outbound_internal.h"
#include <stdlib.h>

static uint64_t now(const struct cc_pool *pool) {
  return uv_now(pool->idle.loop);
}

// ---- Lists -------------------------------------------------------------------------------------

void cc_pool_unlist(struct cc_outbound *out) {
  if (!out->list) return;
  TAILQ_REMOVE(out->list, out, entry);
  if (out->list == &out->origin->idle) out->origin->idle_count--;
  out->list = NULL;
}

void cc_pool_move(struct cc_outbound *out, struct cc_outbounds *list) {
  cc_pool_unlist(out);
  TAILQ_INSERT_HEAD(list, out, entry);
  if (list == &out->origin->idle) out->origin->idle_count++;
  out->list = list;
}

static void settle_later(struct cc_outbound *out, struct cc_outbounds *list) {
  if (out->later) TAILQ_REMOVE(out->later, out, later_entry);
  if (list) TAILQ_INSERT_TAIL(list, out, later_entry);
  out->later = list;
}

static void on_idle(uv_idle_t *idle) {
  struct cc_pool *pool = (struct cc_pool *)idle;
  uv_idle_stop(idle);
  while (!TAILQ_EMPTY(&pool->later))
    settle_later(TAILQ_FIRST(&pool->later), &pool->notifying);
  while (!TAILQ_EMPTY(&pool->notifying)) {
    struct cc_outbound *out = TAILQ_FIRST(&pool->notifying);
    settle_later(out, NULL);
    cc_outbound_on_idle(out);
  }
}

void cc_pool_notify_later(struct cc_outbound *out) {
  if (out->later) return;
  settle_later(out, &out->pool->later);
  uv_idle_start(&out->pool->idle, on_idle);
}

void cc_pool_cancel_notify(struct cc_outbound *out) {
  settle_later(out, NULL);
}

// ---- Keeping and taking ------------------------------------------------------------------------

bool cc_pool_too_old(const struct cc_outbound *out) {
  uint32_t limit = out->pool->settings.age_ms;
  return limit && now(out->pool) - out->born >= limit;
}

static uint64_t time_to_stay(const struct cc_outbound *out) {
  const struct cc_pool_settings *settings = &out->pool->settings;
  if (!settings->age_ms) return settings->idle_ms;
  uint64_t left = out->born + settings->age_ms - now(out->pool);
  return settings->idle_ms && settings->idle_ms < left ? settings->idle_ms : left;
}

void cc_pool_keep(struct cc_outbound *out) {
  struct cc_pool_origin *origin = out->origin;
  out->phase = CC_PHASE_POOLED;
  cc_pool_move(out, &origin->idle);
  cc_timer_set(&out->timer, time_to_stay(out));
  while (origin->idle_count > out->pool->settings.size)
    cc_outbound_close(TAILQ_LAST(&origin->idle, cc_outbounds), false);
}

static struct cc_outbound *take_idle(struct cc_pool_origin *origin) {
  struct cc_outbound *out;
  while ((out = TAILQ_FIRST(&origin->idle)) && cc_pool_too_old(out))
    cc_outbound_close(out, false);
  if (!out) return NULL;
  cc_timer_stop(&out->timer);
  cc_pool_move(out, &out->pool->busy);
  out->phase = CC_PHASE_WAKING;
  out->reused = true;
  cc_pool_notify_later(out);
  return out;
}

// At the limit, a new connection replaces the one that has been idle longest at the origin with most idle
// ones. With none idle it goes over the limit: the number of clients bounds those in use.
static void make_room(struct cc_pool *pool) {
  const uint32_t most = pool->settings.most, open = pool->references - 1;
  struct cc_pool_origin *richest = NULL;
  if (!most || open < most) return;
  for (int i = 0; i < pool->origin_count; i++) {
    struct cc_pool_origin *origin = pool->origins[i];
    if (origin->idle_count > (richest ? richest->idle_count : 0)) richest = origin;
  }
  if (richest) cc_outbound_close(TAILQ_LAST(&richest->idle, cc_outbounds), false);
}

struct cc_outbound *cc_pool_take(struct cc_pool *pool, int origin, bool fresh,
                                 const struct cc_outbound_events *events, void *user) {
  struct cc_outbound *out = fresh ? NULL : take_idle(pool->origins[origin]);
  bool dial = !out;
  if (dial) make_room(pool);
  if (dial) out = cc_outbound_new(pool, pool->origins[origin]);
  out->events = events;
  out->user = user;
  if (dial) cc_dial(out);
  return out;
}

int cc_pool_idle(struct cc_pool *pool, int origin) {
  return (int)pool->origins[origin]->idle_count;
}

// ---- The pool ----------------------------------------------------------------------------------

struct cc_pool *cc_pool_new(uv_loop_t *loop, struct cc_resolver *resolver) {
  struct cc_pool *pool = cc_alloc(sizeof *pool);
  uv_idle_init(loop, &pool->idle);
  pool->resolver = resolver;
  pool->references = 1;
  pool->settings = (struct cc_pool_settings){
      90000, 3600000, 16, 10000, {.head_bytes = 65536, .headers = 200, .target_bytes = 8192}, 0};
  TAILQ_INIT(&pool->busy);
  TAILQ_INIT(&pool->leaving);
  TAILQ_INIT(&pool->later);
  TAILQ_INIT(&pool->notifying);
  return pool;
}

void cc_pool_configure(struct cc_pool *pool, const struct cc_pool_settings *settings) {
  pool->settings = *settings;
}

void cc_pool_release(struct cc_pool *pool) {
  if (--pool->references) return;
  for (int i = 0; i < pool->origin_count; i++)
    cc_pool_origin_free(pool->origins[i]);
  free(pool->origins);
  free(pool);
}

static void idle_closed(uv_handle_t *handle) {
  cc_pool_release((struct cc_pool *)handle);
}

void cc_pool_close(struct cc_pool *pool) {
  struct cc_outbound *out;
  for (int i = 0; i < pool->origin_count; i++)
    while ((out = TAILQ_FIRST(&pool->origins[i]->idle)))
      cc_outbound_close(out, false);
  while ((out = TAILQ_FIRST(&pool->busy)))
    cc_outbound_close(out, true);
  TAILQ_FOREACH(out, &pool->leaving, entry) {
    if (out->stream && out->stream->queued) cc_outbound_close(out, true);
  }
  uv_close((uv_handle_t *)&pool->idle, idle_closed);
}
