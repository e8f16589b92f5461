// SPDX-License-Identifier: Apache-2.0
// The beginning of a client connection on a listener with proxy_protocol.
#include "api/error.h"
#include "codec/proxy_header.h"
#include "net/inbound_internal.h"
#include <arpa/inet.h>
#include <string.h>

static void refuse(struct cc_inbound *in, int error) {
  in->events->unnamed(in, error);
  cc_inbound_close(in, true);
}

void cc_inbound_expect_proxy(struct cc_inbound *in) {
  in->proxied = true;
  if (!cc_trusts(in->settings->trust, in->peer)) refuse(in, CC_EUNTRUSTED);
}

void cc_inbound_proxy_bytes(struct cc_inbound *in, const char *data, size_t size) {
  struct cc_proxy_header header;
  cc_buffer_add(&in->ahead, data, size);
  int length = cc_proxy_header_read(in->ahead.data, in->ahead.size, &header);
  if (length < 0) refuse(in, length);
  if (length <= 0) return;
  if (header.family) cc_trust_text(header.source, header.family == 4, in->peer);
  in->proxied = false;
  struct cc_buffer bytes = in->ahead;
  in->ahead = (struct cc_buffer){0};
  in->events->named(in);
  cc_stream_input(&in->stream, bytes.data + length, bytes.size - (size_t)length);
  cc_buffer_wipe(&bytes);
}
