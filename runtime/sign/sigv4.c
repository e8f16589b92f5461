// SPDX-License-Identifier: Apache-2.0
// Makes of a request the canonical request, the string to sign, the signing key of the day, the signature.
#include "sign/sigv4.h"
#include "api/error.h"
#include "sign/canonical.h"
#include "sign/day_key.h"
#include "sign/digest.h"
#include <string.h>
#include <time.h>

static const char algorithm[] = "AWS4-HMAC-SHA256";

bool cc_sigv4_makes(struct cc_slice name) {
  return cc_slice_is_nocase(name, "authorization") || cc_slice_is_nocase(name, "x-amz-date") ||
         cc_slice_is_nocase(name, "x-amz-security-token") ||
         cc_slice_is_nocase(name, "x-amz-content-sha256");
}

// ---- Checks ------------------------------------------------------------------------------------

// A part of the credential scope, or the method: visible characters, none of the separators.
static bool is_word(struct cc_slice text) {
  for (uint32_t i = 0; i < text.size; i++) {
    uint8_t byte = (uint8_t)text.data[i];
    if (byte <= ' ' || byte >= 0x7f || byte == '/' || byte == ',' || byte == ';') return false;
  }
  return text.size > 0;
}

static bool is_name(struct cc_slice text) {
  for (uint32_t i = 0; i < text.size; i++)
    if (text.data[i] == ':') return false;
  return is_word(text);
}

static bool fits_signer(const struct cc_signer *signer) {
  return is_word(signer->access_key) && signer->secret_key.size && is_word(signer->region) &&
         is_word(signer->service) && cc_canonical_fits(signer->session_token);
}

static bool is_hash(struct cc_slice text) {
  for (uint32_t i = 0; i < text.size; i++)
    if (!text.data[i] || !strchr("0123456789abcdef", text.data[i])) return false;
  return text.size == 2 * CC_DIGEST_SIZE;
}

static bool fits(const struct cc_sigv4 *request) {
  for (size_t i = 0; i < request->count; i++) {
    if (!is_name(request->headers[i].name)) return false;
    if (!cc_canonical_fits(request->headers[i].value)) return false;
  }
  struct cc_slice hash = request->body_hash;
  return fits_signer(request->signer) && is_word(request->method) && is_word(request->host) &&
         request->target.size && request->target.data[0] == '/' &&
         cc_canonical_fits(request->target) && (!hash.size || is_hash(hash));
}

static bool write_date(double ms, char date[CC_SIGV4_DATE]) {
  static const double year_10000 = 253402300800e3;
  struct tm parts;
  if (!(ms >= 0 && ms < year_10000)) return false;
  time_t seconds = (time_t)(ms / 1000);
  return gmtime_r(&seconds, &parts) &&
         strftime(date, CC_SIGV4_DATE, "%Y%m%dT%H%M%SZ", &parts) == CC_SIGV4_DATE - 1;
}

// ---- Texts -------------------------------------------------------------------------------------

struct work {
  struct cc_sigv4 request;
  char date[CC_SIGV4_DATE];
  struct cc_buffer canonical, names, text;
};

// No text is longer, so no buffer grows and leaves a copy of the token behind.
static size_t room(const struct cc_sigv4 *request) {
  size_t size = 1024 + 3 * (size_t)request->target.size + request->method.size +
                request->host.size + request->signer->session_token.size +
                request->signer->access_key.size + request->signer->region.size +
                request->signer->service.size;
  for (size_t i = 0; i < request->count; i++)
    size += 2 * (size_t)request->headers[i].name.size + request->headers[i].value.size + 4;
  return size;
}

static void add_slice(struct cc_buffer *out, struct cc_slice slice) {
  cc_buffer_add(out, slice.data, slice.size);
}

static void add_scope(struct cc_buffer *out, const struct work *work) {
  cc_buffer_add(out, work->date, 8);
  cc_buffer_add(out, "/", 1);
  add_slice(out, work->request.signer->region);
  cc_buffer_add(out, "/", 1);
  add_slice(out, work->request.signer->service);
  cc_buffer_add_text(out, "/aws4_request");
}

static void add_to_sign(struct work *work) {
  char hex[2 * CC_DIGEST_SIZE + 1];
  uint8_t digest[CC_DIGEST_SIZE];
  cc_sha256(work->canonical.data, (uint32_t)work->canonical.size, digest);
  cc_hex(digest, sizeof digest, hex);
  cc_buffer_add_text(&work->text, algorithm);
  cc_buffer_add(&work->text, "\n", 1);
  cc_buffer_add_text(&work->text, work->date);
  cc_buffer_add(&work->text, "\n", 1);
  add_scope(&work->text, work);
  cc_buffer_add(&work->text, "\n", 1);
  cc_buffer_add_text(&work->text, hex);
}

static void work_end(struct work *work) {
  cc_buffer_wipe(&work->canonical);
  cc_buffer_wipe(&work->names);
  cc_buffer_wipe(&work->text);
}

// Makes both texts of a request. After CC_EINVAL there is nothing to end.
static int work_begin(struct work *work, const struct cc_sigv4 *request) {
  *work = (struct work){.request = *request};
  if (!fits(request)) return CC_EINVAL;
  if (!write_date(request->time_ms + request->signer->skew_ms, work->date)) return CC_EINVAL;
  if (!request->body_hash.size) work->request.body_hash = cc_slice_text("UNSIGNED-PAYLOAD");
  size_t size = room(request);
  cc_buffer_reserve(&work->canonical, size);
  cc_buffer_reserve(&work->names, size);
  cc_canonical(&work->request, work->date, &work->canonical, &work->names);
  add_to_sign(work);
  return CC_OK;
}

static int copy_text(const struct cc_sigv4 *request, struct cc_buffer *out, bool to_sign) {
  struct work work;
  int error = work_begin(&work, request);
  if (error) return error;
  const struct cc_buffer *text = to_sign ? &work.text : &work.canonical;
  cc_buffer_add(out, text->data, text->size);
  work_end(&work);
  return CC_OK;
}

int cc_sigv4_canonical(const struct cc_sigv4 *request, struct cc_buffer *out) {
  return copy_text(request, out, false);
}

int cc_sigv4_to_sign(const struct cc_sigv4 *request, struct cc_buffer *out) {
  return copy_text(request, out, true);
}

// ---- Signature ---------------------------------------------------------------------------------

static void sign(const struct work *work, char hex[2 * CC_DIGEST_SIZE + 1]) {
  uint8_t key[CC_DIGEST_SIZE];
  cc_day_key(work->request.signer, work->date, key);
  cc_hmac_sha256(key, sizeof key, work->text.data, work->text.size, key);
  cc_hex(key, sizeof key, hex);
  cc_wipe(key, sizeof key);
}

static void add_line(struct cc_buffer *out, const char *name, struct cc_slice value,
                     const char *end) {
  cc_buffer_add_text(out, name);
  cc_buffer_add(out, ": ", 2);
  add_slice(out, value);
  cc_buffer_add_text(out, end);
}

static void add_authorization(struct cc_buffer *out, const struct work *work, const char *end) {
  char hex[2 * CC_DIGEST_SIZE + 1];
  sign(work, hex);
  cc_buffer_add_text(out, "authorization: ");
  cc_buffer_add_text(out, algorithm);
  cc_buffer_add_text(out, " Credential=");
  add_slice(out, work->request.signer->access_key);
  cc_buffer_add(out, "/", 1);
  add_scope(out, work);
  cc_buffer_add_text(out, ", SignedHeaders=");
  cc_buffer_add(out, work->names.data, work->names.size);
  cc_buffer_add_text(out, ", Signature=");
  cc_buffer_add_text(out, hex);
  cc_buffer_add_text(out, end);
}

int cc_sigv4(const struct cc_sigv4 *request, const char *end, struct cc_buffer *lines) {
  struct work work;
  int error = work_begin(&work, request);
  if (error) return error;
  struct cc_slice token = request->signer->session_token;
  cc_buffer_reserve(lines, room(request));
  add_line(lines, "x-amz-date", cc_slice_text(work.date), end);
  if (token.size) add_line(lines, "x-amz-security-token", token, end);
  if (request->options & CC_SIGV4_BODY_HEADER)
    add_line(lines, "x-amz-content-sha256", work.request.body_hash, end);
  add_authorization(lines, &work, end);
  work_end(&work);
  return CC_OK;
}
