// SPDX-License-Identifier: Apache-2.0
// TLS configurations, reference-counted; those of clients are found again by their CA file.
#include "api/file.h"
#include "api/listen.h"
#include "api/util.h"
#include "base/error.h"
#include "net/tls_internal.h"
#include "sign/digest.h"
#include <stdlib.h>
#include <string.h>

enum { TICKET_S = 86400, FILE_BYTES = 1024 * 1024 };

static const char *protocols[] = {"http/1.1", NULL};

static const int suites[] = {
    CC_MBED_SUITES_13 MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    0,
};

static struct cc_tls_config *clients;

static int fail(const char *what, int code) {
  char words[100];
  mbedtls_strerror(code, words, sizeof words);
  return cc_fail(CC_ETLS, "%s: %s", what, words);
}

static struct cc_tls_config *new_config(bool server) {
  struct cc_tls_config *config = cc_alloc(sizeof *config);
  config->references = 1;
  config->server = server;
  mbedtls_ssl_config_init(&config->ssl);
  mbedtls_x509_crt_init(&config->chain);
  mbedtls_pk_init(&config->key);
  mbedtls_ssl_ticket_init(&config->tickets);
  return config;
}

static void unlink_client(struct cc_tls_config *config) {
  for (struct cc_tls_config **link = &clients; *link; link = &(*link)->next) {
    if (*link != config) continue;
    *link = config->next;
    return;
  }
}

void cc_tls_release(struct cc_tls_config *config) {
  if (!config || --config->references) return;
  unlink_client(config);
  cc_tls_sessions_free(config);
  mbedtls_ssl_config_free(&config->ssl);
  cc_tls_trust_free(config);
  mbedtls_pk_free(&config->key);
  mbedtls_ssl_ticket_free(&config->tickets);
  free(config->ca_file);
  free(config);
}

static int set_defaults(struct cc_tls_config *config) {
  int endpoint = config->server ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT;
  int result = cc_mbed_begin();
  if (!result)
    result = mbedtls_ssl_config_defaults(&config->ssl, endpoint, MBEDTLS_SSL_TRANSPORT_STREAM,
                                         MBEDTLS_SSL_PRESET_DEFAULT);
  if (!result) result = mbedtls_ssl_conf_alpn_protocols(&config->ssl, protocols);
  if (result) return fail("TLS", result);
  mbedtls_ssl_conf_rng(&config->ssl, cc_mbed_random, NULL);
  mbedtls_ssl_conf_ciphersuites(&config->ssl, suites);
  mbedtls_ssl_conf_renegotiation(&config->ssl, MBEDTLS_SSL_RENEGOTIATION_DISABLED);
  cc_mbed_strict(&config->ssl);
  return CC_OK;
}

// ---- Client ------------------------------------------------------------------------------------

static bool same_file(const struct stat *a, const struct stat *b) {
  return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
         a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static struct cc_tls_config *find_client(const char *ca_file, const struct stat *stamp) {
  struct cc_tls_config *at = clients;
  for (; at; at = at->next) {
    if (!ca_file && !at->ca_file) return at;
    if (!ca_file || !at->ca_file || strcmp(ca_file, at->ca_file) != 0) continue;
    if (same_file(stamp, &at->ca_stamp)) return at;
  }
  return NULL;
}

static int build_client(struct cc_tls_config *config) {
  mbedtls_ssl_conf_ca_chain(&config->ssl, &config->chain, NULL);
  int error = set_defaults(config);
  if (!error) error = cc_tls_trust_load(config);
  if (error) return error;
  mbedtls_ssl_conf_authmode(&config->ssl, MBEDTLS_SSL_VERIFY_REQUIRED);
  mbedtls_ssl_conf_cert_profile(&config->ssl, &cc_tls_profile);
  return CC_OK;
}

int cc_tls_client_new(const char *ca_file, struct cc_tls_config **out) {
  struct stat stamp;
  memset(&stamp, 0, sizeof stamp);
  if (ca_file && stat(ca_file, &stamp) != 0) return cc_fail_errno(CC_ETLS, ca_file);
  if (ca_file && !S_ISREG(stamp.st_mode))
    return cc_fail(CC_ETLS, "%s is not a regular file", ca_file);
  struct cc_tls_config *config = find_client(ca_file, &stamp);
  if (config) {
    config->references++;
    *out = config;
    return CC_OK;
  }
  config = new_config(false);
  config->ca_file = ca_file ? cc_copy_text(ca_file, strlen(ca_file)) : NULL;
  config->ca_stamp = stamp;
  int error = build_client(config);
  if (error) {
    cc_tls_release(config);
    return error;
  }
  config->next = clients;
  clients = config;
  *out = config;
  return CC_OK;
}

// ---- Server ------------------------------------------------------------------------------------

struct pair { // the files of a server
  struct cc_file cert, key;
};

static void free_pair(struct pair *pair) {
  cc_wipe(pair->key.data, pair->key.size);
  cc_free(pair->cert.data);
  cc_free(pair->key.data);
}

// Does not block on a FIFO, as the functions of mbedTLS that take names would.
static int read_pair(const char *cert_file, const char *key_file, struct pair *pair) {
  *pair = (struct pair){0};
  if (cc_file_read(cert_file, FILE_BYTES, &pair->cert)) return CC_ETLS;
  if (!cc_file_read(key_file, FILE_BYTES, &pair->key)) return CC_OK;
  free_pair(pair);
  return CC_ETLS;
}

static void digest_of(const struct pair *pair, uint8_t *out) {
  struct cc_digest digest;
  cc_digest_start(&digest);
  cc_digest_add(&digest, &pair->cert.size, sizeof pair->cert.size);
  cc_digest_add(&digest, pair->cert.data, pair->cert.size);
  cc_digest_add(&digest, pair->key.data, pair->key.size);
  cc_digest_finish(&digest, out);
}

int cc_tls_digest(const char *cert_file, const char *key_file, uint8_t *out) {
  struct pair pair;
  int error = read_pair(cert_file, key_file, &pair);
  if (error) return error;
  digest_of(&pair, out);
  free_pair(&pair);
  return CC_OK;
}

// mbedTLS wants PEM with a final NUL, DER without.
static size_t size_of(const struct cc_file *file) {
  return file->size + (strstr(file->data, "-----BEGIN ") != NULL);
}

static int parse_pair(struct cc_tls_config *config, const struct pair *pair, const char *cert_file,
                      const char *key_file) {
  const unsigned char *cert = (unsigned char *)pair->cert.data;
  const unsigned char *key = (unsigned char *)pair->key.data;
  int result = mbedtls_x509_crt_parse(&config->chain, cert, size_of(&pair->cert));
  if (result > 0)
    return cc_fail(CC_ETLS, "%s: number of unreadable certificates: %d", cert_file, result);
  if (result) return fail(cert_file, result);
  result = CC_MBED_PARSE_KEY(&config->key, key, size_of(&pair->key));
  if (result) return fail(key_file, result);
  if (!CC_MBED_KEYS_MATCH(&config->chain.pk, &config->key))
    return cc_fail(CC_ETLS, "%s is not the key of %s", key_file, cert_file);
  result = mbedtls_ssl_conf_own_cert(&config->ssl, &config->chain, &config->key);
  return result ? fail(cert_file, result) : CC_OK;
}

static int load_pair(struct cc_tls_config *config, const char *cert_file, const char *key_file) {
  struct pair pair;
  int error = read_pair(cert_file, key_file, &pair);
  if (error) return error;
  digest_of(&pair, config->digest);
  error = parse_pair(config, &pair, cert_file, key_file);
  free_pair(&pair);
  return error;
}

static int build_server(struct cc_tls_config *config, const char *cert_file, const char *key_file) {
  int error = set_defaults(config);
  if (!error) error = load_pair(config, cert_file, key_file);
  if (error) return error;
  int result = mbedtls_ssl_ticket_setup(&config->tickets, cc_mbed_random, NULL,
                                        MBEDTLS_CIPHER_AES_256_GCM, TICKET_S);
  if (result) return fail("TLS tickets", result);
  mbedtls_ssl_conf_session_tickets_cb(&config->ssl, mbedtls_ssl_ticket_write,
                                      mbedtls_ssl_ticket_parse, &config->tickets);
  return CC_OK;
}

int cc_tls_server_new(const char *cert_file, const char *key_file, struct cc_tls_config **out) {
  struct cc_tls_config *config = new_config(true);
  int error = build_server(config, cert_file, key_file);
  if (error)
    cc_tls_release(config);
  else
    *out = config;
  return error;
}

const uint8_t *cc_tls_server_digest(const struct cc_tls_config *config) {
  return config->digest;
}
