// SPDX-License-Identifier: Apache-2.0
// Every error that C reports to Lua, and errors of the Messages API. Numbers are stable within one build only; names and sentences are
// in base/error.c.
#ifndef CC_API_ERROR_H
#define CC_API_ERROR_H
#include "api/types.h"
#pragma GCC visibility push(default)

enum cc_error {
  CC_OK = 0,
  CC_ESTALE = -1,              // the id names something that has ended
  CC_EINVAL = -2,              // an argument is malformed or out of range
  CC_ESTATE = -3,              // not allowed at this point of the exchange
  CC_ELIMIT = -4,              // a limit of size or number is reached
  CC_ENOTFOUND = -5,           // there is no such thing
  CC_ESYSTEM = -6,             // a system call failed: see cc_system_error
  CC_EADDRESS = -7,            // the address to listen on is in use, or not of this machine
  CC_EDNS = -8,                // the host name could not be resolved
  CC_EREFUSED = -9,            // the connection was refused
  CC_ECONNECT = -10,           // the connection could not be made
  CC_ECONNECT_TIMEOUT = -11,   // connecting, TLS included, took too long
  CC_ETLS = -12,               // the TLS handshake failed, or the certificate was not accepted
  CC_EPROXY = -13,             // the HTTP proxy refused the tunnel
  CC_EADDRESS_FORBIDDEN = -14, // plain http to an address that is neither loopback nor private
  CC_ERESET = -15,             // the peer reset the connection
  CC_EEOF = -16,               // the connection was closed before the message was complete
  CC_EHEAD_TIMEOUT = -17,      // the response head took too long
  CC_EIDLE_TIMEOUT = -18,      // no bytes for too long in the middle of a message
  CC_EWRITE_TIMEOUT = -19,     // the peer has read nothing for too long
  CC_ETOTAL_TIMEOUT = -20,     // the whole exchange took too long
  CC_ECANCELLED = -21,         // the policy cancelled it
  CC_ECLIENT_GONE = -22,       // the client closed its connection
  CC_EHTTP = -23,              // the HTTP message is malformed
  CC_EHEAD_SIZE = -24,         // the head is too large, or has too many headers
  CC_ETARGET_SIZE = -25,       // the request target is too long
  CC_EBODY_SIZE = -26,         // the body is too large
  CC_EREDIRECT = -27,          // the upstream answered with a redirect; none is followed
  CC_EUPGRADE = -28,           // the upstream switched protocols, which is not supported
  CC_EJSON = -29,              // not exactly one JSON value (RFC 8259) in strict UTF-8
  CC_EJSON_DEPTH = -30,        // JSON with more than 1000 levels
  CC_EJSON_OBJECT = -31,       // JSON, but not an object
  CC_EMODEL = -32,             // "model" is missing, empty, too long, no string, or given twice
  CC_ESTREAM_ERROR = -33,      // the stream begins with an error event
  CC_EEMPTY = -34,             // a success without a body
  CC_ENOTJSON = -35,           // a success that is not the JSON or event stream that was asked for
  CC_EGATE_TIMEOUT = -36,      // no content before the time of the gate ran out
  CC_EEVENT_SIZE = -37,        // an event of the stream is too large
  CC_ETRUNCATED = -38,         // the stream ended without its last event
  CC_EFRAME = -39,             // a frame of an AWS event stream is damaged
  CC_EEXPECT = -40,            // an Expect header other than 100-continue
  CC_EROOM = -41,              // no descriptor, port or memory is left for a connection
  CC_EENCODING = -42,          // the Content-Encoding is not supported, or there is more than one
  CC_EENCODED = -43,           // the body does not decode as its Content-Encoding, or is cut off
  CC_EDECODED_SIZE = -44,      // the body is too large after decoding
  CC_ECONTENT_TIMEOUT = -45,   // no content of an answer within content_ms
  CC_ENOMESSAGE = -46,         // a success whose JSON is neither a message nor a count
  CC_EINUSE = -47,             // another process uses it
  CC_EDAMAGED = -48,           // the file is damaged, or of another kind
  CC_EPROXY_HEADER = -49,      // no valid header of the PROXY protocol, version 2
  CC_EPROXY_VERSION = -50,     // a header of the PROXY protocol, version 1
  CC_EUNTRUSTED = -51,         // a PROXY protocol header from an address that is not trusted
  CC_ELAST = -51
};

// The name ("CC_EDNS") and the sentence of an error. Static text; "CC_EUNKNOWN" for other values.
const char *cc_error_name(int error);
const char *cc_error_text(int error);

// What the operating system or the TLS library said at the last CC_ESYSTEM, CC_EADDRESS or CC_ETLS of
// this thread; "" before the first. Borrowed until the next one.
const char *cc_system_error(void);

// ---- Errors of the Messages API ----------------------------------------------------------------

// https://docs.anthropic.com/en/api/errors

// The error type for an HTTP status. One that the API does not define is an "api_error" from 500 on, else an
// "invalid_request_error". Static text.
const char *cc_api_error_type(int status);

// The HTTP status for an error type; 500 for an unknown one.
int cc_api_error_status(const char *type, uint32_t size);

enum { CC_API_ERROR_TYPE = 64 }; // bytes of an upstream's error type

// Tells whether a text of an upstream may be shown as an error type: 1 to CC_API_ERROR_TYPE letters, digits, "_", "-",
// ".", ":" or "/", and no name of enum cc_error. Other texts may quote the request and are not logged.
bool cc_api_error_is_type(const char *text, uint32_t size);

// The data of the first error event of an event stream, whose last event may lack its blank line; allocated
// for the caller. CC_ENOTFOUND, and no allocation, when there is none or the body is no event stream.
int cc_api_error_data(const char *body, uint32_t size, char **out, uint32_t *out_size);

#pragma GCC visibility pop
#endif
