// SPDX-License-Identifier: Apache-2.0
// Tells when a chain of certificates expires: as soon as any of them does.
#include "api/error.h"
#include "api/listen.h"
#include "base/error.h"
#include "net/tls_internal.h"
#include <time.h>

static double moment(const mbedtls_x509_time *when) {
  struct tm parts = {.tm_year = when->year - 1900,
                     .tm_mon = when->mon - 1,
                     .tm_mday = when->day,
                     .tm_hour = when->hour,
                     .tm_min = when->min,
                     .tm_sec = when->sec};
  return (double)timegm(&parts) * 1000;
}

double cc_tls_expires(const mbedtls_x509_crt *chain) {
  double first = 0;
  for (; chain && chain->raw.len; chain = chain->next) {
    double end = moment(&chain->valid_to);
    if (first == 0 || end < first) first = end;
  }
  return first;
}

int cc_certificate_expires(const char *path, double *expires) {
  mbedtls_x509_crt chain;
  mbedtls_x509_crt_init(&chain);
  int result = mbedtls_x509_crt_parse_file(&chain, path);
  *expires = result < 0 ? 0 : cc_tls_expires(&chain);
  mbedtls_x509_crt_free(&chain);
  if (*expires != 0) return CC_OK;
  return cc_fail(CC_ETLS, "%s: no certificate in it", path);
}
