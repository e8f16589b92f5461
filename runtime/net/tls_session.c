// SPDX-License-Identifier: Apache-2.0
// Sessions that a client can resume. A resumed handshake checks no certificate, so a session lives for an hour
// at most, and only for the name it was verified for.
#include "net/tls_internal.h"
#include <stdlib.h>
#include <string.h>

enum { SESSIONS = 64, HOUR_S = 3600 };

struct cc_tls_session {
  struct cc_tls_session *next;
  char *host;
  uint16_t port;
  uint64_t born;
  mbedtls_ssl_session session;
};

static uint64_t seconds(void) {
  return uv_hrtime() / 1000000000;
}

static void drop(struct cc_tls_session **link) {
  struct cc_tls_session *session = *link;
  *link = session->next;
  mbedtls_ssl_session_free(&session->session);
  free(session->host);
  free(session);
}

static struct cc_tls_session **find(struct cc_tls_config *config, const char *host, uint16_t port) {
  struct cc_tls_session **link = &config->sessions;
  while (*link && ((*link)->port != port || strcmp((*link)->host, host) != 0))
    link = &(*link)->next;
  return link;
}

void cc_tls_session_forget(struct cc_tls_config *config, const char *host, uint16_t port) {
  struct cc_tls_session **link = find(config, host, port);
  if (*link) drop(link);
}

uint64_t cc_tls_session_offer(struct cc_tls_config *config, mbedtls_ssl_context *ssl,
                              const char *host, uint16_t port) {
  struct cc_tls_session **link = find(config, host, port);
  if (!*link) return 0;
  bool old = seconds() - (*link)->born >= HOUR_S;
  if (!old && mbedtls_ssl_set_session(ssl, &(*link)->session) == 0) return (*link)->born;
  drop(link);
  return 0;
}

static void drop_beyond(struct cc_tls_config *config, int limit) {
  struct cc_tls_session **link = &config->sessions;
  while (*link && limit-- > 0)
    link = &(*link)->next;
  while (*link)
    drop(link);
}

// A resumed session keeps its time of birth.
void cc_tls_session_keep(struct cc_tls_config *config, const mbedtls_ssl_context *ssl,
                         const char *host, uint16_t port, uint64_t born) {
  struct cc_tls_session *session = cc_alloc(sizeof *session);
  mbedtls_ssl_session_init(&session->session);
  session->host = cc_copy_text(host, strlen(host));
  session->port = port;
  session->born = born ? born : seconds();
  if (mbedtls_ssl_get_session(ssl, &session->session) != 0) {
    drop(&session);
    return;
  }
  cc_tls_session_forget(config, host, port);
  session->next = config->sessions;
  config->sessions = session;
  drop_beyond(config, SESSIONS);
}

void cc_tls_sessions_free(struct cc_tls_config *config) {
  drop_beyond(config, 0);
}
