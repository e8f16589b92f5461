// SPDX-License-Identifier: Apache-2.0
// Loads the CAs that a client trusts, and checks that a certificate names the host. mbedTLS 2.28 and 3.x
// match names differently (2.28 has no iPAddress, both fall back to the common name), so names are read
// here, from the raw extension, and their verdict is overruled both ways.
#include "base/error.h"
#include "net/tls_internal.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEFAULT_STORE "/etc/ssl/certs/ca-certificates.crt"

enum { NAME_DNS = 0x82, NAME_ADDRESS = 0x87 };

const mbedtls_x509_crt_profile cc_tls_profile = {
    MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA256) | MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA384) |
        MBEDTLS_X509_ID_FLAG(MBEDTLS_MD_SHA512),
    MBEDTLS_X509_ID_FLAG(MBEDTLS_PK_RSA) | MBEDTLS_X509_ID_FLAG(MBEDTLS_PK_RSASSA_PSS) |
        MBEDTLS_X509_ID_FLAG(MBEDTLS_PK_ECKEY) | MBEDTLS_X509_ID_FLAG(MBEDTLS_PK_ECDSA),
    MBEDTLS_X509_ID_FLAG(MBEDTLS_ECP_DP_SECP256R1) |
        MBEDTLS_X509_ID_FLAG(MBEDTLS_ECP_DP_SECP384R1) |
        MBEDTLS_X509_ID_FLAG(MBEDTLS_ECP_DP_SECP521R1),
    2048,
};

// ---- Trust -------------------------------------------------------------------------------------

static struct {
  mbedtls_x509_crt chain;
  unsigned users;
} store;

static int read_certificates(mbedtls_x509_crt *chain, const char *path) {
  int result = mbedtls_x509_crt_parse_file(chain, path);
  if (result >= 0 && chain->raw.len) return CC_OK;
  char words[100] = "no certificate in it";
  if (result < 0) mbedtls_strerror(result, words, sizeof words);
  return cc_fail(CC_ETLS, "CA file %s: %s", path, words);
}

static void read_folders(mbedtls_x509_crt *chain, const char *list) {
  char *copy = cc_copy_text(list, strlen(list));
  char *rest = copy;
  for (char *path = strtok_r(copy, ":", &rest); path; path = strtok_r(NULL, ":", &rest))
    mbedtls_x509_crt_parse_path(chain, path);
  free(copy);
}

static int read_store(mbedtls_x509_crt *chain) {
  const char *file = getenv("SSL_CERT_FILE");
  const char *folders = getenv("SSL_CERT_DIR");
  if (folders && *folders) read_folders(chain, folders);
  if (file && *file) return read_certificates(chain, file);
  if (folders && *folders)
    return chain->raw.len ? CC_OK : cc_fail(CC_ETLS, "SSL_CERT_DIR %s: no certificate", folders);
  return read_certificates(chain, DEFAULT_STORE);
}

static int take_store(void) {
  if (store.users == 0) {
    mbedtls_x509_crt_init(&store.chain);
    int error = read_store(&store.chain);
    if (error) {
      mbedtls_x509_crt_free(&store.chain);
      return error;
    }
  }
  store.users++;
  return CC_OK;
}

static mbedtls_x509_crt *last(mbedtls_x509_crt *chain) {
  while (chain->next)
    chain = chain->next;
  return chain;
}

// With a CA file, a missing system store is no error.
int cc_tls_trust_load(struct cc_tls_config *config) {
  if (config->ca_file) {
    int error = read_certificates(&config->chain, config->ca_file);
    if (error) return error;
  }
  int error = take_store();
  if (error) return config->ca_file ? CC_OK : error;
  config->system = true;
  if (config->ca_file) last(&config->chain)->next = &store.chain;
  mbedtls_ssl_conf_ca_chain(&config->ssl, config->ca_file ? &config->chain : &store.chain, NULL);
  return CC_OK;
}

void cc_tls_trust_free(struct cc_tls_config *config) {
  for (mbedtls_x509_crt *at = &config->chain; config->system && at; at = at->next)
    if (at->next == &store.chain) at->next = NULL;
  mbedtls_x509_crt_free(&config->chain);
  if (config->system && --store.users == 0) mbedtls_x509_crt_free(&store.chain);
  config->system = false;
}

// ---- Names -------------------------------------------------------------------------------------

static size_t address_bytes(const char *host, uint8_t out[16]) {
  if (inet_pton(AF_INET, host, out) == 1) return 4;
  return inet_pton(AF_INET6, host, out) == 1 ? 16 : 0;
}

bool cc_tls_is_address(const char *host) {
  uint8_t bytes[16];
  return address_bytes(host, bytes) != 0;
}

// A wildcard stands for exactly one whole leftmost label, followed by at least two others (RFC 9525 section
// 6.3).
static bool name_matches(const char *name, size_t size, const char *host) {
  size_t host_size = strlen(host);
  if (host_size && host[host_size - 1] == '.') host_size--;
  if (size > 2 && name[0] == '*' && name[1] == '.') {
    const char *dot = memchr(host, '.', host_size);
    if (!dot || dot == host || !memchr(name + 2, '.', size - 2)) return false;
    host_size -= (size_t)(dot - host);
    host = dot;
    name++, size--;
  }
  return size == host_size && size && !memchr(name, '\0', size) &&
         strncasecmp(name, host, size) == 0;
}

static bool names_match(unsigned char *at, const unsigned char *end, const char *host) {
  uint8_t address[16];
  size_t address_size = address_bytes(host, address);
  while (at < end) {
    unsigned tag = *at++;
    size_t size;
    if (mbedtls_asn1_get_len(&at, end, &size) != 0) return false;
    if (address_size && tag == NAME_ADDRESS && size == address_size &&
        memcmp(at, address, size) == 0)
      return true;
    if (!address_size && tag == NAME_DNS && name_matches((const char *)at, size, host)) return true;
    at += size;
  }
  return false;
}

// Finds the GeneralNames of the subjectAltName extension.
static bool find_names(const mbedtls_x509_crt *certificate, unsigned char **names,
                       const unsigned char **end) {
  const int sequence = MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE;
  unsigned char *at = certificate->v3_ext.p;
  const unsigned char *all = at + certificate->v3_ext.len;
  size_t size;
  if (!at || mbedtls_asn1_get_tag(&at, all, &size, sequence) != 0) return false;
  while (at < all) {
    if (mbedtls_asn1_get_tag(&at, all, &size, sequence) != 0) return false;
    unsigned char *one = at;
    const unsigned char *one_end = at += size;
    if (mbedtls_asn1_get_tag(&one, one_end, &size, MBEDTLS_ASN1_OID) != 0) return false;
    bool found = size == 3 && memcmp(one, "\x55\x1d\x11", 3) == 0;
    one += size;
    int critical;
    if (!found) continue;
    mbedtls_asn1_get_bool(&one, one_end, &critical);
    if (mbedtls_asn1_get_tag(&one, one_end, &size, MBEDTLS_ASN1_OCTET_STRING) != 0 ||
        mbedtls_asn1_get_tag(&one, one_end, &size, sequence) != 0)
      return false;
    *names = one;
    *end = one + size;
    return true;
  }
  return false;
}

int cc_tls_check_certificate(void *data, mbedtls_x509_crt *certificate, int depth,
                             uint32_t *flags) {
  struct cc_tls_check *check = data;
  check->asked = true;
  if (depth != 0) return 0;
  unsigned char *names;
  const unsigned char *end;
  check->unnamed = !find_names(certificate, &names, &end);
  check->self_signed = certificate->issuer_raw.len == certificate->subject_raw.len &&
                       memcmp(certificate->issuer_raw.p, certificate->subject_raw.p,
                              certificate->subject_raw.len) == 0;
  *flags &= ~(uint32_t)MBEDTLS_X509_BADCERT_CN_MISMATCH;
  if (check->unnamed || !names_match(names, end, check->host))
    *flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
  return 0;
}
