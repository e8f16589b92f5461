// SPDX-License-Identifier: Apache-2.0
// Keeps the body of a request: as it came, or, if Lua has asked for that, decoded from its
// Content-Encoding.
#include "api/error.h"
#include "api/request.h"
#include "codec/content_encoding.h"
#include "exchange/exchange_internal.h"

// Drops a body that cannot be decoded. cc_request_scan returns the error.
static void fail(struct cc_exchange *exchange, int error) {
  cc_buffer_free(&exchange->request.body);
  exchange->scanned = true;
  exchange->scan_result = error;
}

static void decode(struct cc_exchange *exchange, const char *data, size_t size) {
  int error = cc_decoder_add(exchange->decoder, data, size, &exchange->request.body,
                             exchange->relay->settings.body_bytes);
  if (error) fail(exchange, error);
}

static void keep(struct cc_exchange *exchange, struct cc_slice piece) {
  double length = exchange->request.head ? exchange->request.head->content_length : -1;
  if (!exchange->request.body.capacity && length > 0 &&
      length <= exchange->relay->settings.body_bytes)
    cc_buffer_reserve(&exchange->request.body, (size_t)length);
  cc_buffer_add(&exchange->request.body, piece.data, piece.size);
}

void cc_exchange_body(struct cc_exchange *exchange, struct cc_slice piece) {
  if (exchange->decoder)
    decode(exchange, piece.data, piece.size);
  else
    keep(exchange, piece);
  exchange->report.request_bytes = (double)exchange->request.body.size;
}

void cc_exchange_body_end(struct cc_exchange *exchange) {
  if (!exchange->decoder) return;
  int error = cc_decoder_end(exchange->decoder);
  if (error) fail(exchange, error);
  cc_decoder_free(exchange->decoder);
  exchange->decoder = NULL;
}

static int coding_of(const struct cc_http1_head *head, enum cc_coding *coding) {
  *coding = CC_CODING_NONE;
  for (uint32_t i = 0; i < head->headers; i++) {
    const struct cc_header *header = &head->header[i];
    if (!cc_slice_is_nocase(header->name, "content-encoding")) continue;
    int error = cc_coding_add(coding, header->value);
    if (error) return error;
  }
  return CC_OK;
}

static void begin_decoding(struct cc_exchange *exchange, enum cc_coding coding) {
  struct cc_buffer encoded = exchange->request.body;
  exchange->request.body = (struct cc_buffer){0};
  exchange->decoder = cc_decoder_new(coding);
  cc_exchange_body(exchange, cc_slice(encoded.data, encoded.size));
  if (exchange->complete) cc_exchange_body_end(exchange);
  cc_buffer_free(&encoded);
}

int cc_request_decode(struct cc_relay *relay, cc_id id) {
  struct cc_exchange *exchange = cc_exchange_find(relay, id);
  if (!exchange) return CC_ESTALE;
  if (exchange->request.decoded) return CC_OK;
  if (!exchange->request.head || exchange->accepted) return CC_ESTATE;
  enum cc_coding coding;
  int error = coding_of(exchange->request.head, &coding);
  if (error) return error;
  exchange->request.decoded = true;
  if (coding != CC_CODING_NONE) begin_decoding(exchange, coding);
  return CC_OK;
}
