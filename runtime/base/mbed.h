// SPDX-License-Identifier: Apache-2.0
// Hides what differs between mbedTLS 2.28 and 3.x. The rest of mbedTLS that is used here is the same in both.
#ifndef CC_BASE_MBED_H
#define CC_BASE_MBED_H
#include <mbedtls/version.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include <mbedtls/asn1.h>
#include <mbedtls/error.h>
#include <mbedtls/pk.h>
#include <mbedtls/sha1.h>
#include <mbedtls/sha256.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ticket.h>
#include <mbedtls/x509_crt.h>

#if MBEDTLS_VERSION_NUMBER >= 0x03000000
#define CC_MBED_3
#include <psa/crypto.h>
#endif

// The random source for mbedTLS: the system's. It has no state that a fork could duplicate.
static inline int cc_mbed_random(void *unused, unsigned char *out, size_t size) {
  (void)unused;
  while (size) {
    ssize_t got = getrandom(out, size, 0);
    if (got < 0) continue;
    out += got;
    size -= (size_t)got;
  }
  return 0;
}

#ifdef CC_MBED_3

// TLS 1.3 takes its keys from PSA, whose generator must be made anew in a forked process.
static inline int cc_mbed_begin(void) {
  static pid_t owner;
  if (owner == getpid()) return 0;
  if (owner) mbedtls_psa_crypto_free();
  owner = getpid();
  return psa_crypto_init() == PSA_SUCCESS ? 0 : MBEDTLS_ERR_SSL_INTERNAL_ERROR;
}

#define CC_MBED_SHA256_START(state)           mbedtls_sha256_starts(state, 0)
#define CC_MBED_SHA256_ADD(state, data, size) mbedtls_sha256_update(state, data, size)
#define CC_MBED_SHA256_FINISH(state, out)     mbedtls_sha256_finish(state, out)
#define CC_MBED_SHA1(data, size, out)         mbedtls_sha1(data, size, out)
#define CC_MBED_PARSE_KEY(key, text, size)                                                         \
  mbedtls_pk_parse_key(key, text, size, NULL, 0, cc_mbed_random, NULL)
#define CC_MBED_SIGN(key, digest, digest_size, out, capacity, size)                                \
  mbedtls_pk_sign(key, MBEDTLS_MD_SHA256, digest, digest_size, out, capacity, size,                \
                  cc_mbed_random, NULL)
#define CC_MBED_KEYS_MATCH(certificate, key)                                                       \
  (mbedtls_pk_check_pair(certificate, key, cc_mbed_random, NULL) == 0)
#define CC_MBED_BAD_VERSION MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION

// The suites of TLS 1.3, for the front of a list of suites.
#define CC_MBED_SUITES_13                                                                          \
  MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256, MBEDTLS_TLS1_3_AES_128_GCM_SHA256,                      \
      MBEDTLS_TLS1_3_AES_256_GCM_SHA384,

static inline void cc_mbed_strict(mbedtls_ssl_config *config) {
  mbedtls_ssl_conf_min_tls_version(config, MBEDTLS_SSL_VERSION_TLS1_2);
#ifdef MBEDTLS_SSL_PROTO_TLS1_3
  mbedtls_ssl_conf_tls13_key_exchange_modes(config,
                                            MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_EPHEMERAL_ALL);
#ifdef MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED
  mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(
      config, MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED);
#endif
#endif
}

// Whether a result of a read or write means that a session ticket came and the call must be repeated.
static inline bool cc_mbed_is_ticket(int result) {
  return result == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET;
}

// Whether the session can be taken right after the handshake.
static inline bool cc_mbed_has_session(const mbedtls_ssl_context *ssl) {
  return mbedtls_ssl_get_version_number(ssl) <= MBEDTLS_SSL_VERSION_TLS1_2;
}

#else

static inline int cc_mbed_begin(void) {
  return 0;
}

#define CC_MBED_SHA256_START(state)           mbedtls_sha256_starts_ret(state, 0)
#define CC_MBED_SHA256_ADD(state, data, size) mbedtls_sha256_update_ret(state, data, size)
#define CC_MBED_SHA256_FINISH(state, out)     mbedtls_sha256_finish_ret(state, out)
#define CC_MBED_SHA1(data, size, out)         mbedtls_sha1_ret(data, size, out)
#define CC_MBED_PARSE_KEY(key, text, size)    mbedtls_pk_parse_key(key, text, size, NULL, 0)
#define CC_MBED_SIGN(key, digest, digest_size, out, capacity, size)                                \
  mbedtls_pk_sign(key, MBEDTLS_MD_SHA256, digest, digest_size, out, size, cc_mbed_random, NULL)
#define CC_MBED_KEYS_MATCH(certificate, key) (mbedtls_pk_check_pair(certificate, key) == 0)
#define CC_MBED_BAD_VERSION                  MBEDTLS_ERR_SSL_BAD_HS_PROTOCOL_VERSION
#define CC_MBED_SUITES_13

static inline void cc_mbed_strict(mbedtls_ssl_config *config) {
  static const int hashes[] = {MBEDTLS_MD_SHA256, MBEDTLS_MD_SHA384, MBEDTLS_MD_SHA512,
                               MBEDTLS_MD_NONE};
  mbedtls_ssl_conf_min_version(config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
  mbedtls_ssl_conf_sig_hashes(config, hashes);
}

static inline bool cc_mbed_is_ticket(int result) {
  (void)result;
  return false;
}

static inline bool cc_mbed_has_session(const mbedtls_ssl_context *ssl) {
  (void)ssl;
  return true;
}

#endif
#endif
