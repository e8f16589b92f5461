// SPDX-License-Identifier: Apache-2.0
// The functions of api/request.h: Lua reads the client's request.
#include "api/error.h"
#include "api/request.h"
#include "attempt/hops.h"
#include "codec/messages.h"
#include "exchange/exchange_internal.h"
#include <string.h>

int cc_request(struct cc_relay *relay, cc_id id, struct cc_request *out) {
  struct cc_exchange *exchange = cc_exchange_find(relay, id);
  if (!exchange) return CC_ESTALE;
  const struct cc_buffer *line = &exchange->line;
  uint32_t peer = exchange->peer_size, method = exchange->method_size;
  uint32_t path = exchange->path_size, query = (uint32_t)line->size - peer - method - path;
  *out = (struct cc_request){
      .method = cc_slice(line->data + peer, method),
      .path = cc_slice(line->data + peer + method, path),
      .query = cc_slice(line->data + peer + method + path, query),
      .peer = cc_slice(line->data, peer),
      .listener = exchange->listener,
      .error = exchange->refusal,
      .headers = exchange->request.head ? exchange->request.head->headers : 0,
      .body_bytes = (uint32_t)exchange->request.body.size,
      .started = exchange->report.started,
  };
  return CC_OK;
}

int cc_request_header(struct cc_relay *relay, cc_id id, const char *name, uint32_t size,
                      struct cc_slice *value) {
  struct cc_exchange *exchange = cc_exchange_find(relay, id);
  if (!exchange) return CC_ESTALE;
  if (!exchange->request.head) return CC_ESTATE;
  const struct cc_header *header = cc_http1_find(exchange->request.head, cc_slice(name, size));
  if (!header) return CC_ENOTFOUND;
  *value = header->value;
  return CC_OK;
}

bool cc_request_loops(struct cc_relay *relay, cc_id id) {
  struct cc_exchange *exchange = cc_exchange_find(relay, id);
  return exchange && exchange->request.head && cc_hops_seen(exchange->request.head);
}

int cc_request_header_at(struct cc_relay *relay, cc_id id, uint32_t index, struct cc_slice *name,
                         struct cc_slice *value) {
  struct cc_exchange *exchange = cc_exchange_find(relay, id);
  if (!exchange) return CC_ESTALE;
  if (!exchange->request.head) return CC_ESTATE;
  if (index >= exchange->request.head->headers) return CC_ENOTFOUND;
  *name = exchange->request.head->header[index].name;
  *value = exchange->request.head->header[index].value;
  return CC_OK;
}

int cc_request_accept(struct cc_relay *relay, cc_id id) {
  struct cc_exchange *exchange = cc_exchange_find(relay, id);
  if (!exchange) return CC_ESTALE;
  if (exchange->complete) return CC_OK;
  exchange->accepted = true;
  if (exchange->inbound) cc_inbound_admit(exchange->inbound);
  return CC_ESTATE;
}

int cc_request_body(struct cc_relay *relay, cc_id id, struct cc_slice *out) {
  struct cc_exchange *exchange = cc_exchange_find(relay, id);
  if (!exchange) return CC_ESTALE;
  if (!exchange->complete) return CC_ESTATE;
  *out = cc_slice(exchange->request.body.data, exchange->request.body.size);
  return CC_OK;
}

int cc_request_scan(struct cc_relay *relay, cc_id id, struct cc_scan *out) {
  struct cc_exchange *exchange = cc_exchange_find(relay, id);
  if (!exchange) return CC_ESTALE;
  if (!exchange->complete) return CC_ESTATE;
  if (!exchange->scanned)
    exchange->scan_result =
        cc_messages_scan(exchange->request.body.data, exchange->request.body.size, &exchange->scan);
  exchange->scanned = true;
  *out = exchange->scan;
  return exchange->scan_result;
}

int cc_scan(const char *body, uint32_t size, struct cc_scan *out) {
  return cc_messages_scan(body, size, out);
}

int cc_request_field(struct cc_relay *relay, cc_id id, const char *path, uint32_t size,
                     struct cc_slice *json) {
  struct cc_exchange *exchange = cc_exchange_find(relay, id);
  if (!exchange) return CC_ESTALE;
  if (!exchange->complete) return CC_ESTATE;
  struct cc_json_member member;
  int result = cc_json_find(exchange->request.body.data, exchange->request.body.size,
                            cc_slice(path, size), &member);
  if (result == CC_OK) *json = member.value;
  return result;
}

int cc_request_name(struct cc_relay *relay, cc_id id, const char *name, uint32_t size,
                    struct cc_slice *out) {
  struct cc_exchange *exchange = cc_exchange_find(relay, id);
  if (!exchange) return CC_ESTALE;
  if (size != CC_EXCHANGE_NAME) return CC_EINVAL;
  if (!exchange->name[0]) memcpy(exchange->name, name, size);
  *out = cc_slice(exchange->name, size);
  return CC_OK;
}
