// SPDX-License-Identifier: Apache-2.0
// TLS over mbedTLS 2.28 or 3.x, as a layer of struct cc_stream.
#ifndef CC_NET_TLS_H
#define CC_NET_TLS_H
#include "net/stream.h"

// Configurations are counted; a stream holds its own reference.
// Client: verifies against the system's CA store (SSL_CERT_FILE and SSL_CERT_DIR honoured) plus
// ca_file (may be NULL), by subjectAltName only. ALPN http/1.1, TLS 1.2 at least, forward secrecy
// and AEAD only, certificates RSA-2048 or P-256 at least, SHA-256 signatures at least. Sessions are
// kept per host and port for an hour and resumed. Asking again for the same, unchanged ca_file
// gives the same configuration. CC_OK or CC_ETLS with cc_system_error.
int cc_tls_client_new(const char *ca_file, struct cc_tls_config **out);
// Server: the files of its PEM chain and key. CC_OK or CC_ETLS with cc_system_error, which names
// the file.
int cc_tls_server_new(const char *cert_file, const char *key_file, struct cc_tls_config **out);
// What cc_tls_digest (relay.h) said of the files when they were read.
const uint8_t *cc_tls_server_digest(const struct cc_tls_config *config);
void cc_tls_release(struct cc_tls_config *config);

// True when the client's handshake resumed an earlier session.
bool cc_tls_resumed(const struct cc_stream *stream);
#endif
