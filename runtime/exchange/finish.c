// SPDX-License-Identifier: Apache-2.0
// Ends an exchange and fills in its report.
#include "api/error.h"
#include "api/util.h"
#include "attempt/reply.h"
#include "exchange/exchange_internal.h"

static void close_attempts(struct cc_exchange *exchange) {
  for (int i = 0; i < 2; i++)
    if (exchange->attempts[i]) cc_attempt_close(exchange->attempts[i]);
}

static void fill_report(struct cc_exchange *exchange, int error) {
  struct cc_report *report = &exchange->report;
  const struct cc_attempt *chosen = exchange->chosen;
  report->error = error;
  report->total_ms = cc_now() - report->started;
  if (!chosen) return;
  report->attempt = chosen->index;
  report->events = chosen->events;
  report->stream = chosen->kind == CC_BODY_SSE;
  report->usage_known = chosen->usage_known;
  report->usage_final = chosen->usage_final;
  report->usage = chosen->usage;
  if (chosen->error_seen) report->stream_error = cc_reply_error_type(chosen);
}

void cc_exchange_finish(struct cc_exchange *exchange, int error) {
  if (exchange->phase == CC_OVER) return;
  exchange->phase = CC_OVER;
  fill_report(exchange, error);
  close_attempts(exchange);
  cc_timer_stop(&exchange->timer);
  cc_events_post(&exchange->relay->events, CC_EVENT_DONE, 0, exchange->id);
}

int cc_report(struct cc_relay *relay, cc_id id, struct cc_report *out) {
  struct cc_exchange *exchange = cc_exchange_find(relay, id);
  if (!exchange) return CC_ESTALE;
  *out = exchange->report;
  return CC_OK;
}
