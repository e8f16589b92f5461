// SPDX-License-Identifier: Apache-2.0
// Listeners: the master binds each address once for every worker, and each worker accepts on its own
// copy. The master keeps all copies open, so clients that wait for a dead worker are served by the
// next one.
#ifndef CC_API_LISTEN_H
#define CC_API_LISTEN_H
#include "api/types.h"
#pragma GCC visibility push(default)

struct cc_listen {
  struct cc_slice host; // address without brackets; empty for a unix socket
  uint32_t port;        // 0: chosen by the system
  struct cc_slice path; // unix socket
  uint32_t copies;      // sockets that share the address (SO_REUSEPORT), one for each worker
  struct cc_slice cert; // PEM files, the same for all listeners; both empty: no TLS
  struct cc_slice key;
  bool proxied;    // connections begin with a header of the PROXY protocol, version 2
  uint32_t passed; // descriptor of a passed socket, to use instead of an address; 0: none
};

enum { CC_FIRST_PASSED = 3, CC_PASSED_ADDRESS = 128 };

// The number of sockets that the service manager has passed to this process (sd_listen_fds(3)): LISTEN_FDS if
// LISTEN_PID is this process, else 0. Their descriptors begin at CC_FIRST_PASSED; programs that the relay runs
// do not get them. Removes the variables, so a second call returns 0. CC_EINVAL for more than 64 or no number,
// CC_ESYSTEM when a descriptor is not open.
int cc_passed_sockets(void);

// Writes the address of a passed socket, as in server.listen, to out (CC_PASSED_ADDRESS bytes are enough).
// CC_EINVAL when it is not a listening stream socket with an IP address or a path.
int cc_passed_address(int fd, char *out, uint32_t capacity);

// Binds and listens, without accepting: returns a listener number of 0 or more, or CC_EADDRESS,
// CC_EINVAL, CC_ETLS (certificate or key unusable). cc_system_error() tells more. All workers accept on a
// passed socket, and nobody removes its path.
int cc_listen(struct cc_relay *relay, const struct cc_listen *spec);

// Trusts these proxies from now on, and no others: addresses, ranges in CIDR notation, "unix" for whoever
// connects to a unix socket; separated by spaces. PROXY protocol headers are accepted from them only, and
// cc_request.peer is the right-most address in their X-Forwarded-For that is not trusted. CC_EINVAL when one
// is malformed; then nothing changes.
int cc_trust_proxies(struct cc_relay *relay, const char *list, uint32_t size);

// Whether a text is an address or a range in CIDR notation (RFC 4632, section 3.1).
bool cc_is_range(const char *text);

// The port a listener is bound to, or 0.
uint32_t cc_listener_port(struct cc_relay *relay, int listener);

// Accepts in this process on one copy of a listener, counted from 0.
int cc_accept(struct cc_relay *relay, int listener, uint32_t copy);

// Writes the SHA-256 of the contents of two files (32 bytes) to out. CC_ETLS when one cannot be read;
// cc_system_error() names it.
int cc_tls_digest(const char *cert, const char *key, uint8_t *out);

// Tells when the first certificate in a PEM file expires, in ms since 1970. CC_ETLS when there is none.
int cc_certificate_expires(const char *path, double *expires);

// Replaces certificate and key of all listeners in two steps. cc_tls_prepare reads the files again:
// CC_OK, or CC_ETLS when they are unusable or do not have this digest (cc_system_error() tells more).
// When the digest is that of the files in force, nothing is read. cc_tls_commit puts what was prepared
// in force, for connections accepted from then on.
int cc_tls_prepare(struct cc_relay *relay, const uint8_t *digest);
void cc_tls_commit(struct cc_relay *relay);

// Stops accepting in this process, closes idle client connections, and answers the others with
// "connection: close".
void cc_drain(struct cc_relay *relay);

// Ends every exchange at once. A client that is reading an event stream gets an error event; the
// connections of the others are cut.
void cc_abandon(struct cc_relay *relay);

// The number of open client connections, and of exchanges that are not over.
uint32_t cc_connections(struct cc_relay *relay);
uint32_t cc_exchanges(struct cc_relay *relay);

#pragma GCC visibility pop
#endif
