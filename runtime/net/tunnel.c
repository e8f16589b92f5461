// SPDX-License-Identifier: Apache-2.0
// Opens a tunnel through an HTTP proxy for https: CONNECT (RFC 9110 section 9.3.6), and a 2xx answer with
// nothing behind it.
#include "api/error.h"
#include "net/outbound_internal.h"
#include <stdio.h>

static void refuse(struct cc_outbound *out, const char *words) {
  cc_outbound_set_detail(out, words);
  cc_outbound_fail(out, CC_EPROXY);
}

void cc_tunnel(struct cc_outbound *out) {
  const struct cc_pool_origin *origin = out->origin;
  struct cc_buffer text = {0};
  const char *auth = origin->key.proxy_auth;
  out->phase = CC_PHASE_TUNNELLING;
  cc_buffer_printf(&text, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", origin->authority,
                   origin->authority);
  if (auth) {
    cc_buffer_add_text(&text, "Proxy-Authorization: ");
    cc_buffer_add_text(&text, auth);
    cc_buffer_add_text(&text, "\r\n");
  }
  cc_buffer_add_text(&text, "\r\n");
  struct cc_slice whole = cc_slice(text.data, text.size);
  cc_stream_write(out->stream, &whole, 1); // a failure shows as the stream's end
  cc_buffer_wipe(&text);
  cc_stream_read(out->stream);
}

static void answered(struct cc_outbound *out, int status, size_t more) {
  if (status / 100 != 2) {
    char words[40];
    snprintf(words, sizeof words, "the proxy answered %d", status);
    refuse(out, words);
  } else if (more) {
    refuse(out, "the proxy sent bytes of its own into the tunnel");
  } else {
    cc_stream_pause(out->stream);
    cc_http1_reset(out->parser);
    cc_dial_secure(out);
  }
}

void cc_tunnel_read(struct cc_outbound *out, const char *data, size_t size) {
  struct cc_slice piece;
  int step;
  while ((step = cc_http1_next(out->parser, &data, &size, &piece)) == CC_HTTP1_HEAD) {
    int status = cc_http1_head(out->parser)->status;
    if (status < 200) continue;
    answered(out, status, size);
    return;
  }
  if (step != CC_HTTP1_MORE) refuse(out, "the proxy's answer is malformed");
}

void cc_tunnel_end(struct cc_outbound *out) {
  refuse(out, "the proxy closed the connection");
}
