// SPDX-License-Identifier: Apache-2.0
// TLS with mbedTLS 2.28 or 3.x, as a layer of struct cc_stream.
#ifndef CC_NET_TLS_H
#define CC_NET_TLS_H
#include "net/stream.h"

// Configurations are reference-counted; a stream holds its own reference.
// For clients: verifies by subjectAltName only (RFC 9525) against the CA store of the system (SSL_CERT_FILE
// and SSL_CERT_DIR count) and ca_file (may be NULL). ALPN http/1.1, TLS 1.2 or later, forward secrecy and
// AEAD only, certificates of at least RSA-2048 or P-256 and SHA-256. Sessions are kept per host and port for
// an hour and resumed. The same, unchanged ca_file gives the same configuration. CC_OK, or CC_ETLS with
// cc_system_error().
int cc_tls_client_new(const char *ca_file, struct cc_tls_config **out);
// For servers: the PEM files of the chain and the key. CC_OK, or CC_ETLS with cc_system_error(), which names
// the file.
int cc_tls_server_new(const char *cert_file, const char *key_file, struct cc_tls_config **out);
// The cc_tls_digest (api/listen.h) of the files when they were read.
const uint8_t *cc_tls_server_digest(const struct cc_tls_config *config);
void cc_tls_release(struct cc_tls_config *config);

// Whether the handshake of a client resumed an earlier session.
bool cc_tls_resumed(const struct cc_stream *stream);

// When the first certificate that the peer presented expires, in ms since 1970; 0 without TLS or without a
// certificate.
double cc_tls_peer_expires(const struct cc_stream *stream);
#endif
