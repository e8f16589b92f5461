// SPDX-License-Identifier: Apache-2.0
// Says why TLS failed, for logs and for the answer to the client.
#include "net/tls_internal.h"
#include <stdio.h>

static const struct {
  uint32_t flag;
  const char *text;
} reasons[] = {
    {MBEDTLS_X509_BADCERT_EXPIRED, "certificate has expired"},
    {MBEDTLS_X509_BADCERT_FUTURE, "certificate is not valid yet"},
    {MBEDTLS_X509_BADCERT_CN_MISMATCH, "certificate is for another name"},
    {MBEDTLS_X509_BADCERT_EXT_KEY_USAGE, "certificate is not for servers"},
    {MBEDTLS_X509_BADCERT_KEY_USAGE, "certificate is not for this use"},
    {MBEDTLS_X509_BADCERT_NS_CERT_TYPE, "certificate is not for this use"},
    {MBEDTLS_X509_BADCERT_BAD_MD, "certificate is signed with a weak hash"},
    {MBEDTLS_X509_BADCERT_BAD_PK, "certificate has a kind of key that is not accepted"},
    {MBEDTLS_X509_BADCERT_BAD_KEY, "certificate has a weak key"},
    {MBEDTLS_X509_BADCERT_REVOKED, "certificate has been revoked"},
    {MBEDTLS_X509_BADCERT_MISSING, "certificate is missing"},
    {MBEDTLS_X509_BADCERT_NOT_TRUSTED, "certificate is not signed by a trusted CA"},
};

static const char *reason(size_t index, const struct cc_tls_check *check) {
  if (reasons[index].flag == MBEDTLS_X509_BADCERT_CN_MISMATCH && check->unnamed)
    return "certificate names no host (subjectAltName)";
  if (reasons[index].flag == MBEDTLS_X509_BADCERT_NOT_TRUSTED && check->self_signed)
    return "certificate is self-signed";
  return reasons[index].text;
}

static void describe_flags(uint32_t flags, const struct cc_tls_check *check, char *out,
                           size_t capacity) {
  size_t used = 0;
  for (size_t i = 0; i < sizeof reasons / sizeof *reasons && used < capacity; i++) {
    if (!(flags & reasons[i].flag)) continue;
    int size = snprintf(out + used, capacity - used, "%s%s", used ? "; " : "", reason(i, check));
    used += (size_t)size;
  }
  if (!used) snprintf(out, capacity, "certificate is refused (flags 0x%x)", (unsigned)flags);
}

static const char *alert_text(int alert) {
  switch (alert) {
  case 40:
    return "handshake failure";
  case 42:
    return "bad certificate";
  case 45:
    return "certificate expired";
  case 46:
    return "certificate unknown";
  case 47:
    return "illegal parameter";
  case 48:
    return "unknown CA";
  case 70:
    return "protocol version";
  case 71:
    return "insufficient security";
  case 80:
    return "internal error";
  case 112:
    return "unrecognized name";
  case 116:
    return "certificate required";
  case 120:
    return "no application protocol";
  default:
    return "other";
  }
}

// A record with a fatal alert in the clear: type 21, size 2, level and number (RFC 8446 section 6).
static bool is_alert(const uint8_t tail[CC_TLS_TAIL]) {
  return tail[0] == 21 && tail[3] == 0 && tail[4] == 2;
}

void cc_tls_failure_text(const mbedtls_ssl_context *ssl, const struct cc_tls_check *check,
                         const uint8_t tail[CC_TLS_TAIL], int result, char *out, size_t capacity) {
  uint32_t flags = mbedtls_ssl_get_verify_result(ssl);
  if (check->asked && flags && flags != UINT32_MAX) {
    describe_flags(flags, check, out, capacity);
  } else if (result == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE && is_alert(tail)) {
    snprintf(out, capacity, "the peer refused TLS: %s (alert %d)", alert_text(tail[6]), tail[6]);
  } else if (result == CC_MBED_BAD_VERSION) {
    snprintf(out, capacity, "the peer does not offer TLS 1.2 or later");
  } else {
    char words[100];
    mbedtls_strerror(result, words, sizeof words);
    snprintf(out, capacity, "%s (-0x%04x)", words, (unsigned)-result);
  }
}
