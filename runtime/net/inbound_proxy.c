// SPDX-License-Identifier: Apache-2.0
// Reads the PROXY protocol header with which a client connection begins on a listener with proxy_protocol.
#include "api/error.h"
#include "codec/proxy_header.h"
#include "net/inbound_internal.h"
#include <arpa/inet.h>
#include <string.h>

int cc_inbound_proxy_read(struct cc_inbound *in, const char *data, size_t size) {
  struct cc_proxy_header header;
  cc_buffer_add(&in->ahead, data, size);
  int length = cc_proxy_header_read(in->ahead.data, in->ahead.size, &header);
  if (length <= 0) return length;
  if (header.family) cc_trust_text(header.source, header.family == 4, in->peer);
  in->proxied = false;
  struct cc_buffer bytes = in->ahead;
  in->ahead = (struct cc_buffer){0};
  in->events->named(in);
  cc_stream_input(&in->stream, bytes.data + length, bytes.size - (size_t)length);
  cc_buffer_wipe(&bytes);
  return CC_OK;
}
