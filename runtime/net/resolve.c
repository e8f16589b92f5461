// SPDX-License-Identifier: Apache-2.0
// The system's resolver blocks, for minutes when a name server is silent, and libuv's threads are few and
// shared with files. So every look-up has a detached thread of its own. What it shares with the loop is
// reference-counted, as a thread may return long after the resolver was freed.
#include "net/resolve.h"
#include "api/error.h"
#include "base/buffer.h"
#include <ctype.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

enum { STACK_BYTES = 1 << 20, SYSTEM_ADDRESSES = 64 };

struct job { // one look-up, from its thread back to the loop
  struct shared *shared;
  struct name *name; // the loop's; a name whose look-up is under way is not forgotten
  int (*look_up)(const char *host, struct cc_addresses *found);
  char host[CC_RESOLVE_HOST + 1];
  int error;
  struct cc_addresses found;
  STAILQ_ENTRY(job) entry;
};

struct shared {
  pthread_mutex_t lock;
  unsigned references; // the resolver and every thread
  uv_async_t *async;   // NULL when the resolver has gone
  STAILQ_HEAD(, job) returned;
};

TAILQ_HEAD(lookups, cc_lookup);

struct cc_lookup {
  TAILQ_ENTRY(cc_lookup) entry;
  struct lookups *list; // the one it is on
  struct cc_resolver *resolver;
  void (*done)(void *data, int error, const struct cc_addresses *found);
  void *data;
  int error;
  struct cc_addresses found;
};

struct name {
  TAILQ_ENTRY(name) entry;
  char host[CC_RESOLVE_HOST + 1]; // lower case
  struct lookups waiters;
  bool pending; // a thread is out for it
  bool good;
  bool failed;
  uint64_t good_at;
  uint64_t failed_at;
  struct cc_addresses found;
};

TAILQ_HEAD(names, name);

struct cc_resolver {
  uv_async_t async;
  struct shared *shared;
  struct cc_resolver_system system;
  struct names names; // most recently used first
  unsigned name_count;
  unsigned threads;
  unsigned waiting;
  struct lookups ready; // to be told by the next run of the loop
  struct lookups notifying;
};

// getaddrinfo asks for A and AAAA at once and sorts by RFC 6724 and the system's gai.conf.
static int system_look_up(const char *host, struct cc_addresses *found) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
  struct addrinfo *list = NULL;
  union cc_address all[SYSTEM_ADDRESSES] = {0};
  int count = 0;
  found->count = 0;
  if (getaddrinfo(host, NULL, &hints, &list)) return CC_EDNS;
  for (struct addrinfo *item = list; item && count < SYSTEM_ADDRESSES; item = item->ai_next) {
    if (item->ai_family != AF_INET && item->ai_family != AF_INET6) continue;
    if (item->ai_addrlen > sizeof *all) continue;
    memcpy(&all[count++], item->ai_addr, item->ai_addrlen);
  }
  freeaddrinfo(list);
  if (!count) return CC_EDNS;
  cc_addresses_interleave(found, all, count);
  return CC_OK;
}

// ---- The thread ----

static void shared_release(struct shared *shared) { // locked; unlocks
  bool last = --shared->references == 0;
  pthread_mutex_unlock(&shared->lock);
  if (!last) return;
  pthread_mutex_destroy(&shared->lock);
  free(shared);
}

static void *run(void *argument) {
  struct job *job = argument;
  struct shared *shared = job->shared;
  job->error = job->look_up(job->host, &job->found);
  pthread_mutex_lock(&shared->lock);
  if (shared->async) {
    STAILQ_INSERT_TAIL(&shared->returned, job, entry);
    uv_async_send(shared->async);
  } else {
    free(job);
  }
  shared_release(shared);
  return NULL;
}

static bool spawn(struct job *job) {
  sigset_t all, before;
  pthread_attr_t attributes;
  pthread_t thread;
  sigfillset(&all);
  if (pthread_attr_init(&attributes)) return false;
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  pthread_sigmask(SIG_SETMASK, &all, &before); // signals are the loop's
  int error = pthread_create(&thread, &attributes, run, job);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  return error == 0;
}

static bool start(struct cc_resolver *resolver, struct name *name) {
  if (resolver->threads == CC_RESOLVE_THREADS) return false;
  struct shared *shared = resolver->shared;
  struct job *job = cc_alloc(sizeof *job);
  job->shared = shared;
  job->name = name;
  job->look_up = resolver->system.look_up;
  memcpy(job->host, name->host, sizeof job->host);
  pthread_mutex_lock(&shared->lock);
  shared->references++;
  pthread_mutex_unlock(&shared->lock);
  if (spawn(job)) {
    resolver->threads++;
    return true;
  }
  free(job);
  pthread_mutex_lock(&shared->lock);
  shared_release(shared);
  return false;
}

// ---- Waiters ----

static void enlist(struct cc_lookup *lookup, struct lookups *list) {
  if (lookup->list) TAILQ_REMOVE(lookup->list, lookup, entry);
  lookup->list = list;
  TAILQ_INSERT_TAIL(list, lookup, entry);
}

static void drop(struct cc_lookup *lookup) {
  struct cc_resolver *resolver = lookup->resolver;
  TAILQ_REMOVE(lookup->list, lookup, entry);
  free(lookup);
  if (--resolver->waiting == 0) uv_unref((uv_handle_t *)&resolver->async);
}

static void drop_all(struct lookups *list) {
  while (!TAILQ_EMPTY(list))
    drop(TAILQ_FIRST(list));
}

static void finish_lookup(struct cc_lookup *lookup, int error, const struct cc_addresses *found) {
  lookup->error = error;
  if (error == CC_OK) lookup->found = *found;
  enlist(lookup, &lookup->resolver->ready);
  uv_async_send(&lookup->resolver->async);
}

static void notify(struct cc_resolver *resolver) {
  while (!TAILQ_EMPTY(&resolver->ready))
    enlist(TAILQ_FIRST(&resolver->ready), &resolver->notifying);
  while (!TAILQ_EMPTY(&resolver->notifying)) {
    struct cc_lookup *lookup = TAILQ_FIRST(&resolver->notifying);
    struct cc_lookup copy = *lookup;
    drop(lookup);
    copy.done(copy.data, copy.error, copy.error == CC_OK ? &copy.found : NULL);
  }
}

// ---- Names ----

static uint64_t now(const struct cc_resolver *resolver) {
  return resolver->system.now(resolver->async.loop);
}

static void forget_one(struct cc_resolver *resolver) {
  struct name *name = TAILQ_LAST(&resolver->names, names);
  while (name->pending)
    name = TAILQ_PREV(name, names, entry);
  TAILQ_REMOVE(&resolver->names, name, entry);
  resolver->name_count--;
  free(name);
}

static struct name *new_name(struct cc_resolver *resolver, const char *host) {
  if (resolver->name_count == CC_RESOLVE_NAMES) forget_one(resolver);
  struct name *name = cc_alloc(sizeof *name);
  memcpy(name->host, host, strlen(host));
  TAILQ_INIT(&name->waiters);
  resolver->name_count++;
  return name;
}

static struct name *remember(struct cc_resolver *resolver, const char *host) {
  struct name *name;
  TAILQ_FOREACH(name, &resolver->names, entry) {
    if (strcmp(name->host, host) == 0) break;
  }
  if (name)
    TAILQ_REMOVE(&resolver->names, name, entry);
  else
    name = new_name(resolver, host);
  TAILQ_INSERT_HEAD(&resolver->names, name, entry);
  return name;
}

static void settle_failed(struct cc_lookup *lookup, const struct name *name) {
  uint64_t age = now(lookup->resolver) - name->good_at;
  bool usable = name->good && age < CC_RESOLVE_STALE_MS;
  finish_lookup(lookup, usable ? CC_OK : CC_EDNS, &name->found);
}

static void finish(struct cc_resolver *resolver, struct job *job) {
  struct name *name = job->name;
  resolver->threads--;
  name->pending = false;
  name->failed = job->error != CC_OK || job->found.count == 0;
  if (name->failed) {
    name->failed_at = now(resolver);
  } else {
    name->good = true;
    name->good_at = now(resolver);
    name->found = job->found;
  }
  while (!TAILQ_EMPTY(&name->waiters))
    if (name->failed)
      settle_failed(TAILQ_FIRST(&name->waiters), name);
    else
      finish_lookup(TAILQ_FIRST(&name->waiters), CC_OK, &name->found);
  free(job);
}

static void ask(struct cc_lookup *lookup, struct name *name) {
  uint64_t time = now(lookup->resolver);
  if (name->pending) {
    enlist(lookup, &name->waiters);
  } else if (name->failed && time - name->failed_at < CC_RESOLVE_FAILED_MS) {
    settle_failed(lookup, name);
  } else if (name->good && time - name->good_at < CC_RESOLVE_GOOD_MS) {
    finish_lookup(lookup, CC_OK, &name->found);
  } else if (start(lookup->resolver, name)) {
    name->pending = true;
    enlist(lookup, &name->waiters);
  } else {
    settle_failed(lookup, name);
  }
}

// ---- The resolver ----

static struct job *take_returned(struct shared *shared) {
  pthread_mutex_lock(&shared->lock);
  struct job *job = STAILQ_FIRST(&shared->returned);
  if (job) STAILQ_REMOVE_HEAD(&shared->returned, entry);
  pthread_mutex_unlock(&shared->lock);
  return job;
}

static void on_async(uv_async_t *async) {
  struct cc_resolver *resolver = (struct cc_resolver *)async;
  for (struct job *job; (job = take_returned(resolver->shared));)
    finish(resolver, job);
  notify(resolver);
}

struct cc_resolver *cc_resolver_new(uv_loop_t *loop) {
  struct cc_resolver *resolver = cc_alloc(sizeof *resolver);
  struct shared *shared = cc_alloc(sizeof *shared);
  if (uv_async_init(loop, &resolver->async, on_async)) abort();
  uv_unref((uv_handle_t *)&resolver->async);
  pthread_mutex_init(&shared->lock, NULL);
  STAILQ_INIT(&shared->returned);
  shared->references = 1;
  shared->async = &resolver->async;
  resolver->shared = shared;
  resolver->system = (struct cc_resolver_system){system_look_up, uv_now};
  TAILQ_INIT(&resolver->names);
  TAILQ_INIT(&resolver->ready);
  TAILQ_INIT(&resolver->notifying);
  return resolver;
}

void cc_resolver_replace(struct cc_resolver *resolver, const struct cc_resolver_system *system) {
  resolver->system = *system;
}

static void closed(uv_handle_t *handle) {
  free(handle);
}

void cc_resolver_close(struct cc_resolver *resolver) {
  struct shared *shared = resolver->shared;
  pthread_mutex_lock(&shared->lock);
  shared->async = NULL; // from here on threads free what they bring
  pthread_mutex_unlock(&shared->lock);
  for (struct job *job; (job = take_returned(shared));)
    free(job);
  while (!TAILQ_EMPTY(&resolver->names)) {
    struct name *name = TAILQ_FIRST(&resolver->names);
    drop_all(&name->waiters);
    TAILQ_REMOVE(&resolver->names, name, entry);
    free(name);
  }
  drop_all(&resolver->ready);
  drop_all(&resolver->notifying);
  pthread_mutex_lock(&shared->lock);
  shared_release(shared);
  uv_close((uv_handle_t *)&resolver->async, closed);
}

static bool literal(const char *host, struct cc_addresses *found) {
  bool local = strcasecmp(host, "localhost") == 0;
  found->count = local ? 2 : 1;
  if (!local) return cc_address_parse(host, &found->list[0]);
  return cc_address_parse("::1", &found->list[0]) && cc_address_parse("127.0.0.1", &found->list[1]);
}

static bool lower(char *out, const char *host) {
  size_t size = strnlen(host, CC_RESOLVE_HOST + 1);
  if (size == 0 || size > CC_RESOLVE_HOST || host[0] == '[') return false;
  for (size_t i = 0; i <= size; i++)
    out[i] = (char)tolower((unsigned char)host[i]);
  return true;
}

struct cc_lookup *cc_resolve(struct cc_resolver *resolver, const char *host,
                             void (*done)(void *data, int error, const struct cc_addresses *found),
                             void *data) {
  struct cc_lookup *lookup = cc_alloc(sizeof *lookup);
  struct cc_addresses found;
  char name[CC_RESOLVE_HOST + 1];
  lookup->resolver = resolver;
  lookup->done = done;
  lookup->data = data;
  if (resolver->waiting++ == 0) uv_ref((uv_handle_t *)&resolver->async);
  if (literal(host, &found))
    finish_lookup(lookup, CC_OK, &found);
  else if (lower(name, host))
    ask(lookup, remember(resolver, name));
  else
    finish_lookup(lookup, CC_EDNS, NULL);
  return lookup;
}

void cc_resolve_cancel(struct cc_lookup *lookup) {
  drop(lookup);
}
