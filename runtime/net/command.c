// SPDX-License-Identifier: Apache-2.0
// stdout and stderr are plain pipes made here. libuv would make sockets, which a script cannot open as
// /dev/stdout.
#include "net/command.h"
#include "api/error.h"
#include "base/buffer.h"
#include "base/descriptors.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORDS = 400 };

struct cc_program {
  uv_process_t process;
  uv_pipe_t out, err;
  int open; // handles whose memory is still in use
  int error, status;
  bool running; // or not waited for yet
  bool out_done;
  bool notified; // of its end, or nobody is to be notified
  void (*output)(void *data, struct cc_slice piece);
  void (*ended)(void *data, int error, int status);
  void *data;
  size_t words_size;
  char words[WORDS];
  char read[4096];
};

// ---- Closing -----------------------------------------------------------------------------------

static void gone(uv_handle_t *handle) {
  struct cc_program *program = handle->data;
  if (--program->open) return;
  cc_wipe(program, sizeof *program);
  free(program);
}

static void close_handle(uv_handle_t *handle) {
  if (!uv_is_closing(handle)) uv_close(handle, gone);
}

void cc_command_drop(struct cc_program *program) {
  if (!program->notified) kill(-program->process.pid, SIGKILL);
  program->notified = true;
  program->output = NULL;
  close_handle((uv_handle_t *)&program->out);
  close_handle((uv_handle_t *)&program->err);
  bool known = program->process.type == UV_PROCESS; // to the loop
  if (known && !program->running) close_handle((uv_handle_t *)&program->process);
}

// ---- Output ------------------------------------------------------------------------------------

static void keep_words(struct cc_program *program, const char *text, size_t size) {
  size_t room = WORDS - program->words_size;
  if (size > room) size = room;
  memcpy(program->words + program->words_size, text, size);
  program->words_size += size;
}

// What it wrote to stderr before it ended has been read by now: the loop handles signals last.
static void look_for_the_end(struct cc_program *program) {
  if (program->running || !program->out_done || program->notified) return;
  program->notified = true;
  if (program->status < 0 && !program->words_size)
    program->words_size =
        (size_t)snprintf(program->words, WORDS, "killed by signal %d", -program->status);
  program->ended(program->data, program->status < 0 ? CC_ESYSTEM : CC_OK, program->status);
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
  struct cc_program *program = handle->data;
  (void)suggested;
  *buffer = uv_buf_init(program->read, sizeof program->read);
}

static void on_output(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer) {
  struct cc_program *program = stream->data;
  if (size > 0 && program->output)
    program->output(program->data, cc_slice(buffer->base, (size_t)size));
  if (size >= 0) return;
  close_handle((uv_handle_t *)stream);
  program->out_done = true;
  look_for_the_end(program);
}

static void on_words(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer) {
  if (size > 0) keep_words(stream->data, buffer->base, (size_t)size);
  if (size < 0) close_handle((uv_handle_t *)stream);
}

static void on_exit_of(uv_process_t *process, int64_t status, int signal_number) {
  struct cc_program *program = process->data;
  bool dropped = program->notified;
  program->running = false;
  program->status = signal_number ? -signal_number : (int)status;
  if (dropped)
    close_handle((uv_handle_t *)process);
  else
    look_for_the_end(program);
}

// ---- Starting ----------------------------------------------------------------------------------

bool cc_command_is_sound(struct cc_slice arguments) {
  return arguments.size > 1 && arguments.data[0] && !arguments.data[arguments.size - 1];
}

static char **list_of(struct cc_slice arguments) {
  size_t count = 0;
  for (uint32_t i = 0; i < arguments.size; i++)
    count += !arguments.data[i];
  char **list = cc_alloc((count + 1) * sizeof *list + arguments.size);
  char *at = memcpy(list + count + 1, arguments.data, arguments.size);
  for (size_t i = 0; i < count; i++, at += strlen(at) + 1)
    list[i] = at;
  return list;
}

static void free_list(char **list, struct cc_slice arguments) {
  size_t count = 0;
  while (list[count])
    count++;
  cc_wipe(list, (count + 1) * sizeof *list + arguments.size);
  free(list);
}

// Makes a pipe whose reading end belongs to stream. Returns the other end, or an error of libuv.
static int open_pipe(uv_pipe_t *stream, uv_read_cb on_read) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return uv_translate_sys_error(errno);
  int status = uv_pipe_open(stream, ends[0]);
  if (status == 0) status = uv_read_start((uv_stream_t *)stream, on_allocate, on_read);
  if (status == 0) return ends[1];
  if (!uv_is_readable((uv_stream_t *)stream)) close(ends[0]);
  close(ends[1]);
  return status;
}

static int spawn(struct cc_program *program, uv_loop_t *loop, char **list) {
  int out = open_pipe(&program->out, on_output), err = open_pipe(&program->err, on_words);
  uv_stdio_container_t stdio[] = {{.flags = UV_IGNORE},
                                  {.flags = UV_INHERIT_FD, .data.fd = out},
                                  {.flags = UV_INHERIT_FD, .data.fd = err}};
  uv_process_options_t options = {.exit_cb = on_exit_of,
                                  .file = list[0],
                                  .args = list,
                                  .flags = UV_PROCESS_DETACHED,
                                  .stdio_count = 3,
                                  .stdio = stdio};
  int status = out < 0 ? out : err;
  if (status >= 0) {
    program->open++;
    cc_descriptors_lower();
    status = uv_spawn(loop, &program->process, &options);
    cc_descriptors_restore();
  }
  if (out >= 0) close(out);
  if (err >= 0) close(err);
  return status;
}

static void cannot_start(struct cc_program *program, const char *name, int status) {
  bool unknown = status == UV_ENOENT || status == UV_ENOTDIR;
  program->error = unknown ? CC_ENOTFOUND : CC_ESYSTEM;
  program->notified = true;
  int size = snprintf(program->words, WORDS, "%s: %s", name, uv_strerror(status));
  program->words_size = size < WORDS ? (size_t)size : WORDS - 1;
}

struct cc_program *cc_command_start(uv_loop_t *loop, struct cc_slice arguments,
                                    void (*output)(void *data, struct cc_slice piece),
                                    void (*ended)(void *data, int error, int status), void *data) {
  struct cc_program *program = cc_alloc(sizeof *program);
  program->output = output;
  program->ended = ended;
  program->data = data;
  uv_pipe_init(loop, &program->out, 0);
  uv_pipe_init(loop, &program->err, 0);
  program->out.data = program->err.data = program->process.data = program;
  program->open = 2;
  char **list = list_of(arguments);
  int status = spawn(program, loop, list);
  program->running = status == 0;
  if (status != 0) cannot_start(program, list[0], status);
  free_list(list, arguments);
  return program;
}

int cc_command_error(const struct cc_program *program) {
  return program->error;
}

struct cc_slice cc_command_words(const struct cc_program *program) {
  return cc_slice(program->words, program->words_size);
}
