// SPDX-License-Identifier: Apache-2.0
// Maps each error to its name and its sentence: the only such table.
#include "base/error.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct entry {
  const char *name;
  const char *text;
};

#define ENTRY(code, sentence) [-(code)] = {#code, sentence}

static const struct entry entries[] = {
    ENTRY(CC_OK, "no error"),
    ENTRY(CC_ESTALE, "this exchange or attempt has ended"),
    ENTRY(CC_EINVAL, "an argument is malformed or out of range"),
    ENTRY(CC_ESTATE, "not allowed at this point of the exchange"),
    ENTRY(CC_ELIMIT, "a limit of size or number is reached"),
    ENTRY(CC_ENOTFOUND, "there is no such thing"),
    ENTRY(CC_ESYSTEM, "a system call failed"),
    ENTRY(CC_EADDRESS, "the address is in use, or not of this machine"),
    ENTRY(CC_EDNS, "the host name could not be resolved"),
    ENTRY(CC_EREFUSED, "the connection was refused"),
    ENTRY(CC_ECONNECT, "the connection could not be made"),
    ENTRY(CC_ECONNECT_TIMEOUT, "connecting took too long"),
    ENTRY(CC_ETLS, "the TLS handshake failed"),
    ENTRY(CC_EPROXY, "the HTTP proxy refused the tunnel"),
    ENTRY(CC_EADDRESS_FORBIDDEN, "plain http is allowed to loopback and private addresses only"),
    ENTRY(CC_ERESET, "the connection was reset"),
    ENTRY(CC_EEOF, "the connection was closed in the middle of a message"),
    ENTRY(CC_EHEAD_TIMEOUT, "no response head in time"),
    ENTRY(CC_EIDLE_TIMEOUT, "no bytes for too long in the middle of a message"),
    ENTRY(CC_EWRITE_TIMEOUT, "the peer read nothing for too long"),
    ENTRY(CC_ETOTAL_TIMEOUT, "the whole exchange took too long"),
    ENTRY(CC_ECANCELLED, "cancelled by the policy"),
    ENTRY(CC_ECLIENT_GONE, "the client closed its connection"),
    ENTRY(CC_EHTTP, "the HTTP message is malformed"),
    ENTRY(CC_EHEAD_SIZE, "the HTTP head is too large or has too many headers"),
    ENTRY(CC_ETARGET_SIZE, "the request target is too long"),
    ENTRY(CC_EBODY_SIZE, "the body is too large"),
    ENTRY(CC_EREDIRECT, "the upstream answered with a redirect, which is never followed"),
    ENTRY(CC_EUPGRADE, "the upstream switched protocols, which is not supported"),
    ENTRY(CC_EJSON, "the text is not one JSON value in UTF-8"),
    ENTRY(CC_EJSON_DEPTH, "the JSON has more than 1000 levels"),
    ENTRY(CC_EJSON_OBJECT, "the JSON is not an object"),
    ENTRY(CC_EMODEL, "\"model\" must be given once, as a string of 1 to 512 bytes"),
    ENTRY(CC_ESTREAM_ERROR, "the stream began with an error event"),
    ENTRY(CC_EEMPTY, "the upstream reported success without a body"),
    ENTRY(CC_ENOTJSON, "the upstream reported success, but did not send what was asked for"),
    ENTRY(CC_EGATE_TIMEOUT, "no content in time after the response head"),
    ENTRY(CC_EEVENT_SIZE, "an event of the stream is too large"),
    ENTRY(CC_ETRUNCATED, "the stream ended before its last event"),
    ENTRY(CC_EFRAME, "the event stream has a damaged frame"),
    ENTRY(CC_EEXPECT, "an Expect header other than 100-continue"),
    ENTRY(CC_EROOM, "no descriptor, port or memory is left for a connection"),
    ENTRY(CC_EENCODING,
          "the content-encoding of the body is not supported, or there is more than one"),
    ENTRY(CC_EENCODED, "the body does not decode as its content-encoding, or is cut off"),
    ENTRY(CC_EDECODED_SIZE, "the body is too large after decoding"),
    ENTRY(CC_ECONTENT_TIMEOUT, "no content of an answer came within the time limit"),
    ENTRY(CC_ENOMESSAGE, "the upstream reported success with JSON that is not a message"),
    ENTRY(CC_EINUSE, "another process uses it"),
    ENTRY(CC_EDAMAGED, "the file is damaged, or of another kind"),
    ENTRY(CC_EPROXY_HEADER, "the connection has no valid header of the PROXY protocol, version 2"),
    ENTRY(CC_EPROXY_VERSION, "the PROXY protocol, version 1, is not supported; send version 2"),
    ENTRY(CC_EUNTRUSTED,
          "the listener has proxy_protocol, and server.trusted_proxies lacks this peer"),
};

_Static_assert(sizeof entries / sizeof *entries == 1 - CC_ELAST, "every cc_error has an entry");

static _Thread_local char system_text[256];

const char *cc_error_name(int error) {
  if (error > 0 || error < CC_ELAST) return "CC_EUNKNOWN";
  return entries[-error].name;
}

const char *cc_error_text(int error) {
  if (error > 0 || error < CC_ELAST) return "unknown error";
  return entries[-error].text;
}

const char *cc_system_error(void) {
  return system_text;
}

int cc_fail(int error, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(system_text, sizeof system_text, format, arguments);
  va_end(arguments);
  return error;
}

int cc_fail_errno(int error, const char *what) {
  return cc_fail(error, "%s: %s", what, strerror(errno));
}
