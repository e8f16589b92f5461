// SPDX-License-Identifier: Apache-2.0
// The deadlines of an exchange, which share one timer.
#include "api/error.h"
#include "api/request.h"
#include "exchange/exchange_internal.h"

bool cc_exchange_is_due(const struct cc_exchange *exchange, uint64_t due) {
  return exchange->phase != CC_OVER && due && cc_relay_now(exchange->relay) >= due;
}

void cc_exchange_schedule(struct cc_exchange *exchange) {
  uint64_t dues[] = {exchange->content_due, exchange->total_due, exchange->ping_due,
                     exchange->script_due};
  uint64_t next = 0, now = cc_relay_now(exchange->relay);
  for (size_t i = 0; i < sizeof dues / sizeof *dues; i++)
    if (dues[i] && (!next || dues[i] < next)) next = dues[i];
  if (next)
    cc_timer_set(&exchange->timer, next > now ? next - now : 1);
  else
    cc_timer_stop(&exchange->timer);
}

int cc_exchange_timer(struct cc_relay *relay, cc_id id, double delay_ms) {
  struct cc_exchange *exchange = cc_exchange_find(relay, id);
  if (!exchange) return CC_ESTALE;
  if (exchange->phase == CC_OVER) return CC_ESTATE;
  if (delay_ms > 2147483647.0) return CC_EINVAL;
  exchange->script_due = delay_ms < 0 ? 0 : cc_relay_now(exchange->relay) + (uint64_t)delay_ms + 1;
  cc_exchange_schedule(exchange);
  return CC_OK;
}
