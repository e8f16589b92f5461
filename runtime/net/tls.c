// SPDX-License-Identifier: Apache-2.0
// The TLS layer of a stream. mbedTLS reads from the bytes at hand and writes into a space that the thread
// shares, from which whole flights go to the socket. While the peer is slow, plain bytes wait here and
// are sealed as the socket takes them.
#include "net/tls.h"
#include "base/error.h"
#include "net/stream_internal.h"
#include "net/tls_internal.h"
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// RECORD: plain bytes of one record. OUTPUT: sealed bytes waiting for the socket, at most about
// this. USELESS: raw bytes without any application byte (handshakes, empty records, alerts).
enum { RECORD = 16384, GATHER = 65536, OUTPUT = 65536, USELESS = 131072 };

struct tls {
  mbedtls_ssl_context ssl;
  struct cc_tls_config *config;
  struct cc_tls_check check;
  char *host;
  uint16_t port;
  const char *raw; // what mbedTLS reads from
  size_t raw_size;
  size_t useless;
  struct cc_buffer held;    // raw bytes that came while reading was off
  struct cc_buffer waiting; // plain bytes not sealed yet, from sealed on
  size_t sealed;
  uint64_t born;             // of the session that was offered
  uint8_t tail[CC_TLS_TAIL]; // the last raw bytes read: an alert in the clear shows there
  bool dead;
  bool finishing;
  char detail[160];
};

static _Thread_local char read_space[RECORD];
static _Thread_local char part_space[RECORD];
static _Thread_local char gather_space[GATHER];
static _Thread_local size_t gathered;

// ---- Between mbedTLS and the stream ------------------------------------------------------------

static void flush(struct cc_stream *stream) {
  if (!gathered) return;
  struct cc_slice all = {gather_space, (uint32_t)gathered};
  gathered = 0;
  cc_stream_raw_write(stream, &all, 1);
}

static int send_raw(void *data, const unsigned char *bytes, size_t size) {
  if (size > GATHER - gathered) flush(data);
  if (size > GATHER) size = GATHER;
  memcpy(gather_space + gathered, bytes, size);
  gathered += size;
  return (int)size;
}

static void remember_tail(struct tls *tls, const char *bytes, size_t size) {
  size_t keep = sizeof tls->tail;
  if (size >= keep) {
    memcpy(tls->tail, bytes + size - keep, keep);
  } else {
    memmove(tls->tail, tls->tail + size, keep - size);
    memcpy(tls->tail + keep - size, bytes, size);
  }
}

static int receive_raw(void *data, unsigned char *out, size_t size) {
  struct cc_stream *stream = data;
  struct tls *tls = stream->tls;
  if (!tls->raw_size) return MBEDTLS_ERR_SSL_WANT_READ;
  if (size > tls->raw_size) size = tls->raw_size;
  memcpy(out, tls->raw, size);
  if (!stream->standing) remember_tail(tls, tls->raw, size);
  tls->raw += size;
  tls->raw_size -= size;
  tls->useless += size;
  return (int)size;
}

static bool wants(int result) {
  return result == MBEDTLS_ERR_SSL_WANT_READ || result == MBEDTLS_ERR_SSL_WANT_WRITE;
}

// ---- Failing -----------------------------------------------------------------------------------

static void describe(struct tls *tls, int result) {
  cc_tls_failure_text(&tls->ssl, &tls->check, tls->tail, result, tls->detail, sizeof tls->detail);
}

static void die(struct cc_stream *stream, int error) {
  struct tls *tls = stream->tls;
  tls->dead = true;
  flush(stream);
  if (!stream->standing && tls->host) cc_tls_session_forget(tls->config, tls->host, tls->port);
  cc_stream_over(stream, error);
}

static void fail(struct cc_stream *stream, int result) {
  describe(stream->tls, result);
  die(stream, stream->standing ? CC_ERESET : CC_ETLS);
}

// ---- Sending -----------------------------------------------------------------------------------

static void keep_session(struct tls *tls) {
  if (tls->host)
    cc_tls_session_keep(tls->config, &tls->ssl, tls->host, tls->port,
                        tls->check.asked ? 0 : tls->born);
}

// Seals what the socket is likely to take soon. Returns how much that was, or an error.
static int seal(struct cc_stream *stream, const char *data, size_t size) {
  struct tls *tls = stream->tls;
  size_t done = 0;
  while (done < size && uv_stream_get_write_queue_size(&stream->uv.stream) < OUTPUT) {
    size_t piece = size - done < RECORD ? size - done : RECORD;
    int result = mbedtls_ssl_write(&tls->ssl, (const unsigned char *)data + done, piece);
    if (cc_mbed_is_ticket(result))
      keep_session(tls);
    else if (wants(result))
      break;
    else if (result < 0)
      return result;
    else
      done += (size_t)result;
  }
  return (int)done;
}

static int put(struct cc_stream *stream, const char *data, size_t size) {
  struct tls *tls = stream->tls;
  int done = tls->waiting.size ? 0 : seal(stream, data, size);
  if (done < 0) return done;
  if ((size_t)done < size) cc_buffer_add(&tls->waiting, data + done, size - (size_t)done);
  return 0;
}

// Small parts share records.
static int put_parts(struct cc_stream *stream, const struct cc_slice *parts, unsigned count) {
  size_t held = 0, most = 0;
  int result = 0;
  for (unsigned i = 0; i < count && !result; i++) {
    if (held && held + parts[i].size > RECORD) {
      result = put(stream, part_space, held);
      held = 0;
    }
    if (!result && parts[i].size >= RECORD) {
      result = put(stream, parts[i].data, parts[i].size);
    } else if (parts[i].size) {
      memcpy(part_space + held, parts[i].data, parts[i].size);
      held += parts[i].size;
      most = held > most ? held : most;
    }
  }
  if (held && !result) result = put(stream, part_space, held);
  cc_wipe(part_space, most);
  return result;
}

static int put_waiting(struct cc_stream *stream) {
  struct tls *tls = stream->tls;
  size_t left = tls->waiting.size - tls->sealed;
  int done = seal(stream, tls->waiting.data + tls->sealed, left);
  if (done < 0) return done;
  tls->sealed += (size_t)done;
  if (tls->sealed < tls->waiting.size) return 0;
  cc_buffer_wipe(&tls->waiting);
  tls->sealed = 0;
  if (tls->finishing) mbedtls_ssl_close_notify(&tls->ssl);
  return 0;
}

static int write_parts(struct cc_stream *stream, const struct cc_slice *parts, unsigned count) {
  struct tls *tls = stream->tls;
  if (tls->dead) return CC_ERESET;
  int result = 0;
  if (count)
    result = put_parts(stream, parts, count);
  else if (tls->waiting.size)
    result = put_waiting(stream);
  stream->waiting = tls->waiting.size - tls->sealed;
  flush(stream);
  if (result) {
    describe(tls, result);
    tls->dead = true;
    cc_stream_fail_later(stream, CC_ERESET);
  }
  return stream->failure;
}

static void finish(struct cc_stream *stream) {
  struct tls *tls = stream->tls;
  if (tls->dead) return;
  tls->finishing = true;
  if (!tls->waiting.size) mbedtls_ssl_close_notify(&tls->ssl);
  flush(stream);
}

// ---- Receiving ---------------------------------------------------------------------------------

static void shake(struct cc_stream *stream) {
  struct tls *tls = stream->tls;
  size_t before;
  int result;
  do {
    before = tls->raw_size;
    result = mbedtls_ssl_handshake(&tls->ssl);
  } while (wants(result) && tls->raw_size && tls->raw_size < before);
  if (wants(result)) {
    flush(stream);
  } else if (result) {
    fail(stream, result);
  } else {
    flush(stream);
    tls->useless = 0;
    if (cc_mbed_has_session(&tls->ssl)) keep_session(tls);
    cc_stream_stands(stream);
  }
}

// Whether more can be read now. mbedTLS may want to read although bytes are left, or only report a ticket,
// but only after it took some.
static bool pull(struct cc_stream *stream) {
  struct tls *tls = stream->tls;
  size_t before = tls->raw_size;
  int result = mbedtls_ssl_read(&tls->ssl, (unsigned char *)read_space, sizeof read_space);
  flush(stream); // before anyone else may use the space
  if (result > 0) {
    tls->useless = 0;
    stream->events->read(stream, read_space, (size_t)result);
    return true;
  }
  if (cc_mbed_is_ticket(result)) {
    keep_session(tls);
    return true;
  }
  if (wants(result)) return tls->raw_size < before;
  if (result == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
    cc_stream_over(stream, CC_OK);
  else
    fail(stream, result ? result : MBEDTLS_ERR_SSL_CONN_EOF);
  return false;
}

static bool alive(const struct cc_stream *stream) {
  return !stream->closing && !stream->ended && !((struct tls *)stream->tls)->dead;
}

static void digest(struct cc_stream *stream) {
  struct tls *tls = stream->tls;
  if (!stream->standing) shake(stream);
  while (alive(stream) && stream->standing && stream->reading && tls->useless < USELESS &&
         pull(stream))
    continue;
  if (alive(stream) && tls->useless >= USELESS) {
    snprintf(tls->detail, sizeof tls->detail, "too many bytes without content");
    die(stream, stream->standing ? CC_ERESET : CC_ETLS);
  }
}

// Holds bytes that are not used now because reading was switched off.
static void hold_rest(struct cc_stream *stream, size_t from_held) {
  struct tls *tls = stream->tls;
  if (!alive(stream))
    cc_buffer_free(&tls->held);
  else if (from_held)
    cc_buffer_drop(&tls->held, from_held - tls->raw_size);
  else
    cc_buffer_add(&tls->held, tls->raw, tls->raw_size);
  if (!tls->held.size) cc_buffer_free(&tls->held);
  tls->raw_size = 0;
  stream->held = tls->held.size != 0;
}

static void input(struct cc_stream *stream, const char *data, size_t size) {
  struct tls *tls = stream->tls;
  if (tls->dead) return;
  if (tls->held.size) cc_buffer_add(&tls->held, data, size);
  size_t from_held = tls->held.size;
  tls->raw = from_held ? tls->held.data : data;
  tls->raw_size = from_held ? from_held : size;
  digest(stream);
  hold_rest(stream, from_held);
  flush(stream);
  if (!alive(stream)) return;
  if (tls->waiting.size) write_parts(stream, NULL, 0);
  if (stream->standing) cc_stream_raw_read(stream, stream->reading && !stream->held);
}

static void eof(struct cc_stream *stream) {
  struct tls *tls = stream->tls;
  snprintf(tls->detail, sizeof tls->detail, "the peer closed the connection %s",
           stream->standing ? "without ending TLS" : "during the TLS handshake");
  die(stream, stream->standing ? CC_EEOF : CC_ETLS);
}

// ---- Beginning and ending ----------------------------------------------------------------------

static void release(struct cc_stream *stream) {
  struct tls *tls = stream->tls;
  stream->tls = NULL;
  mbedtls_ssl_free(&tls->ssl);
  cc_buffer_wipe(&tls->waiting);
  cc_buffer_free(&tls->held);
  cc_tls_release(tls->config);
  free(tls->host);
  free(tls);
}

static const char *detail(const struct cc_stream *stream) {
  return ((const struct tls *)stream->tls)->detail;
}

static int start(struct cc_stream *stream) {
  stream->standing = false;
  cc_stream_raw_read(stream, true);
  int result = mbedtls_ssl_handshake(&((struct tls *)stream->tls)->ssl);
  flush(stream);
  if (wants(result)) return CC_OK;
  describe(stream->tls, result);
  ((struct tls *)stream->tls)->dead = true;
  return CC_ETLS;
}

static const struct cc_layer layer = {start, write_parts, input, eof, finish, detail, release};

static struct tls *new_tls(struct cc_stream *stream, struct cc_tls_config *config) {
  struct tls *tls = cc_alloc(sizeof *tls);
  config->references++;
  tls->config = config;
  mbedtls_ssl_init(&tls->ssl);
  mbedtls_ssl_set_bio(&tls->ssl, stream, send_raw, receive_raw, NULL);
  stream->tls = tls;
  return tls;
}

static uint16_t peer_port(const struct cc_stream *stream) {
  struct sockaddr_storage address;
  int size = sizeof address;
  memset(&address, 0, sizeof address);
  if (stream->uv.handle.type == UV_TCP)
    uv_tcp_getpeername(&stream->uv.tcp, (struct sockaddr *)&address, &size);
  return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

// No server name is sent for an address (RFC 6066 section 3). Names are checked in tls_trust.c in any case.
static int set_up_client(struct tls *tls) {
  int result = mbedtls_ssl_setup(&tls->ssl, &tls->config->ssl);
  bool address = cc_tls_is_address(tls->host);
  if (!result) result = mbedtls_ssl_set_hostname(&tls->ssl, address ? NULL : tls->host);
  if (result) return result;
  mbedtls_ssl_set_verify(&tls->ssl, cc_tls_check_certificate, &tls->check);
  tls->born = cc_tls_session_offer(tls->config, &tls->ssl, tls->host, tls->port);
  return 0;
}

static int begin(struct cc_stream *stream, int result) {
  if (!result) result = cc_mbed_begin();
  if (result) {
    release(stream);
    return cc_fail(CC_ETLS, "TLS cannot start (-0x%04x)", (unsigned)-result);
  }
  stream->layer = &layer;
  return layer.start(stream);
}

int cc_stream_tls_client(struct cc_stream *stream, struct cc_tls_config *config, const char *host) {
  if (stream->layer || !stream->standing || stream->closing) return CC_ESTATE;
  struct tls *tls = new_tls(stream, config);
  size_t size = strlen(host);
  if (size && host[size - 1] == '.') size--;
  tls->host = cc_copy_text(host, size);
  tls->port = peer_port(stream);
  tls->check.host = tls->host;
  return begin(stream, set_up_client(tls));
}

int cc_stream_tls_server(struct cc_stream *stream, struct cc_tls_config *config) {
  if (stream->layer || !stream->standing || stream->closing) return CC_ESTATE;
  struct tls *tls = new_tls(stream, config);
  return begin(stream, mbedtls_ssl_setup(&tls->ssl, &config->ssl));
}

bool cc_tls_resumed(const struct cc_stream *stream) {
  const struct tls *tls = stream->tls;
  return stream->layer == &layer && stream->standing && tls->host && !tls->check.asked;
}

double cc_tls_peer_expires(const struct cc_stream *stream) {
  const struct tls *tls = stream->tls;
  if (stream->layer != &layer || !stream->standing) return 0;
  return cc_tls_expires(mbedtls_ssl_get_peer_cert(&tls->ssl));
}
