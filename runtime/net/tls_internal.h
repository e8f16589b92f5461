// SPDX-License-Identifier: Apache-2.0
// What the files of TLS share.
#ifndef CC_NET_TLS_INTERNAL_H
#define CC_NET_TLS_INTERNAL_H
#include "base/mbed.h"
#include "net/tls.h"
#include <sys/stat.h>

struct cc_tls_session;

struct cc_tls_config {
  unsigned references;
  bool server;
  mbedtls_ssl_config ssl;
  mbedtls_x509_crt chain; // server: its certificate chain; client: ca_file, then the system's
  mbedtls_pk_context key; // server
  mbedtls_ssl_ticket_context tickets;
  uint8_t digest[32]; // server: see cc_tls_digest
  char *ca_file;
  struct stat ca_stamp; // of ca_file when it was read
  bool system;          // holds the system's store
  struct cc_tls_session *sessions;
  struct cc_tls_config *next; // of the clients in this process
};

// Input and result of verifying the chain of a server.
struct cc_tls_check {
  const char *host; // as the certificate must name it
  bool asked;       // a certificate was checked: this is no resumed session
  bool unnamed;     // it names nothing by subjectAltName
  bool self_signed;
};

extern const mbedtls_x509_crt_profile cc_tls_profile;

// Fills config->chain with what a client trusts: ca_file (may be NULL) and the store of the system, which each
// process reads once and shares.
int cc_tls_trust_load(struct cc_tls_config *config);
void cc_tls_trust_free(struct cc_tls_config *config);

// The verify callback; data is a struct cc_tls_check.
int cc_tls_check_certificate(void *data, mbedtls_x509_crt *certificate, int depth, uint32_t *flags);

enum { CC_TLS_TAIL = 7 }; // bytes of a record with an alert in the clear

// Writes to out why a call of mbedTLS failed with result. tail: the last bytes read before the handshake was
// done, which may be an alert in the clear.
void cc_tls_failure_text(const mbedtls_ssl_context *ssl, const struct cc_tls_check *check,
                         const uint8_t tail[CC_TLS_TAIL], int result, char *out, size_t capacity);

// When the first certificate of a chain (may be NULL) expires, in ms since 1970; 0 for an empty chain.
double cc_tls_expires(const mbedtls_x509_crt *chain);

// Whether host is an IP address literal.
bool cc_tls_is_address(const char *host);

// Sessions of a client by server: offer one to a handshake (returns the second in which it was born, 0 when
// there is none), keep one after it (born: of the session that was resumed, or 0), forget it when it fails.
uint64_t cc_tls_session_offer(struct cc_tls_config *config, mbedtls_ssl_context *ssl,
                              const char *host, uint16_t port);
void cc_tls_session_keep(struct cc_tls_config *config, const mbedtls_ssl_context *ssl,
                         const char *host, uint16_t port, uint64_t born);
void cc_tls_session_forget(struct cc_tls_config *config, const char *host, uint16_t port);
void cc_tls_sessions_free(struct cc_tls_config *config);
#endif
