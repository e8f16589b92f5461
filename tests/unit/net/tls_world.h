// SPDX-License-Identifier: Apache-2.0
// The certificates of the TLS tests, made anew in a folder of their own, and other programs to
// talk TLS with.
#ifndef TESTS_NET_TLS_WORLD_H
#define TESTS_NET_TLS_WORLD_H
#include "net/pair.h"
#include "net/tls.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static char world[] = "/tmp/tls-XXXXXX";

// A file in the folder; the last few results stay valid.
static inline const char *in_world(const char *name, const char *suffix) {
  static char paths[8][64];
  static unsigned turn;
  char *path = paths[turn++ % 8];
  snprintf(path, sizeof paths[0], "%s/%s%s", world, name, suffix);
  return path;
}

static inline int run_shell(const char *format, const char *argument) {
  char command[300];
  snprintf(command, sizeof command, format, argument);
  return system(command);
}

static inline int world_open(void **state) {
  (void)state;
  if (!mkdtemp(world) || run_shell("sh " TEST_DATA "/tls/make.sh %s", world) != 0) return -1;
  return setenv("SSL_CERT_FILE", in_world("rsaroot", ".pem"), 1);
}

static inline int world_close(void **state) {
  (void)state;
  return run_shell("rm -r %s", world);
}

// A program with its input from a pipe of ours and its output in the file "output".
struct program {
  pid_t pid;
  int input;
};

static inline struct program start_program(const char *const *arguments) {
  int pipes[2];
  assert_int_equal(pipe(pipes), 0);
  unlink(in_world("output", ""));
  fcntl(pipes[1], F_SETFD, FD_CLOEXEC);
  struct program program = {fork(), pipes[1]};
  if (program.pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    int output = open(in_world("output", ""), O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(pipes[0], 0);
    dup2(output, 1);
    dup2(output, 2);
    execvp(arguments[0], (char *const *)arguments);
    _exit(127);
  }
  close(pipes[0]);
  return program;
}

static inline void stop_program(struct program *program) {
  close(program->input);
  kill(program->pid, SIGTERM);
  waitpid(program->pid, NULL, 0);
}

static inline const char *output_text(void) {
  static char text[65536];
  FILE *file = fopen(in_world("output", ""), "r");
  size_t size = file ? fread(text, 1, sizeof text - 1, file) : 0;
  text[size] = '\0';
  if (file) fclose(file);
  return text;
}

static inline bool output_has(const char *text) {
  return strstr(output_text(), text) != NULL;
}

// openssl s_server with these further options (up to a NULL); address gets where it listens.
static inline struct program start_server(struct pair *pair, const char *certificate,
                                          const char *const *options) {
  const char *arguments[24] = {"openssl", "s_server",
                               "-accept", "127.0.0.1:0",
                               "-cert",   in_world(certificate, ".pem"),
                               "-key",    in_world(certificate, ".key")};
  for (int i = 8; *options; i++)
    arguments[i] = *options++;
  struct program program = start_program(arguments);
  WAIT_UNTIL(pair, output_has("ACCEPT 127.0.0.1:"));
  int port = atoi(strstr(output_text(), "ACCEPT 127.0.0.1:") + 17);
  uv_ip4_addr("127.0.0.1", port, &pair->address);
  return program;
}

// ---- A client under TLS ------------------------------------------------------------------------

static struct {
  struct cc_tls_config *config;
  const char *host;
  int begun;
} target;

static inline void begin_tls(struct end *end) {
  if (end->stream.layer || end->ready_error) return;
  end->readies = 0;
  end->in_call = true;
  target.begun = cc_stream_tls_client(&end->stream, target.config, target.host);
  end->in_call = false;
}

static inline void connect_tls(struct pair *pair, struct cc_tls_config *config, const char *host) {
  target.config = config;
  target.host = host;
  pair->client.on_ready = begin_tls;
  pair_connect(pair);
  RUN_UNTIL(pair, pair->client.stream.layer && pair->client.readies);
  assert_int_equal(target.begun, CC_OK);
}

static inline struct cc_tls_config *client_config(void) {
  struct cc_tls_config *config;
  assert_int_equal(cc_tls_client_new(in_world("root", ".pem"), &config), CC_OK);
  return config;
}

static inline struct cc_tls_config *server_config(const char *name) {
  struct cc_tls_config *config;
  assert_int_equal(cc_tls_server_new(in_world(name, ".pem"), in_world(name, ".key"), &config),
                   CC_OK);
  return config;
}

// A listening pair whose server has this certificate.
static inline struct pair *tls_server(const char *certificate) {
  struct pair *pair = pair_new();
  pair->server_config = server_config(certificate);
  pair_listen(pair);
  return pair;
}

static inline void tls_free(struct pair *pair, struct cc_tls_config *client) {
  struct cc_tls_config *server = pair->server_config;
  pair_free(pair);
  cc_tls_release(server);
  cc_tls_release(client);
}

// A connected pair under TLS; neither side reads yet.
static inline struct pair *tls_pair(struct cc_tls_config **client) {
  struct pair *pair = tls_server("good");
  *client = client_config();
  connect_tls(pair, *client, "relay.test");
  assert_string_equal(cc_stream_detail(&pair->client.stream), "");
  assert_int_equal(pair->client.ready_error, CC_OK);
  RUN_UNTIL(pair, pair->peer.readies);
  assert_int_equal(pair->peer.ready_error, CC_OK);
  return pair;
}

static inline void exchange_words(struct pair *pair) {
  end_listen(&pair->client);
  end_listen(&pair->peer);
  assert_int_equal(end_say(&pair->client, "question"), CC_OK);
  RUN_UNTIL(pair, end_has(&pair->peer, "question"));
  assert_int_equal(end_say(&pair->peer, "answer"), CC_OK);
  RUN_UNTIL(pair, end_has(&pair->client, "answer"));
}
#endif
