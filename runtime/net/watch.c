// SPDX-License-Identifier: Apache-2.0
#include "net/watch.h"
#include "base/buffer.h"
#include "base/error.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FOLDERS = 64, RETRY_MS = 500 };

struct folder {
  uv_fs_event_t handle;
  struct cc_watch *list;
  char *path;
  dev_t device;
  ino_t inode;
  int number;
  bool lost;
};

struct cc_watch {
  uv_timer_t retry;
  void (*on_change)(void *data, int number);
  void *data;
  struct folder *folders[FOLDERS];
  int handles; // open or closing, the timer included
  bool closing;
};

static void handle_closed(struct cc_watch *list) {
  if (--list->handles == 0) free(list);
}

static void timer_closed(uv_handle_t *handle) {
  handle_closed(handle->data);
}

static void folder_closed(uv_handle_t *handle) {
  struct folder *folder = handle->data;
  handle_closed(folder->list);
  free(folder->path);
  free(folder);
}

static bool look(const char *path, struct stat *facts) {
  return stat(path, facts) == 0 && S_ISDIR(facts->st_mode);
}

static void notify(struct folder *folder) {
  if (!folder->list->closing) folder->list->on_change(folder->list->data, folder->number);
}

static void on_event(uv_fs_event_t *handle, const char *name, int events, int status);

static int arm(struct folder *folder) {
  struct stat facts;
  if (!look(folder->path, &facts)) return CC_ENOTFOUND;
  int error = uv_fs_event_start(&folder->handle, on_event, folder->path, 0);
  if (error == UV_ENOENT || error == UV_ENOTDIR) return CC_ENOTFOUND;
  if (error) return cc_fail(CC_ESYSTEM, "%s: %s", folder->path, uv_strerror(error));
  folder->device = facts.st_dev;
  folder->inode = facts.st_ino;
  folder->lost = false;
  return CC_OK;
}

static void retry(uv_timer_t *timer) {
  struct cc_watch *list = timer->data;
  bool waiting = false;
  for (int i = 0; i < FOLDERS && !list->closing; i++) {
    struct folder *folder = list->folders[i];
    if (!folder || !folder->lost) continue;
    if (arm(folder) == CC_OK)
      notify(folder);
    else
      waiting = true;
  }
  if (!waiting && !list->closing) uv_timer_stop(timer);
}

static void on_event(uv_fs_event_t *handle, const char *name, int events, int status) {
  struct folder *folder = handle->data;
  struct stat facts;
  (void)name, (void)events;
  bool same = status == 0 && look(folder->path, &facts) && facts.st_dev == folder->device &&
              facts.st_ino == folder->inode;
  if (!same && !folder->lost) {
    uv_fs_event_stop(handle);
    folder->lost = true;
    uv_timer_start(&folder->list->retry, retry, RETRY_MS, RETRY_MS);
  }
  notify(folder);
}

struct cc_watch *cc_watch_new(uv_loop_t *loop, void (*on_change)(void *data, int number),
                              void *data) {
  struct cc_watch *list = cc_alloc(sizeof *list);
  uv_timer_init(loop, &list->retry);
  list->retry.data = list;
  list->on_change = on_change;
  list->data = data;
  list->handles = 1;
  return list;
}

static int find(struct cc_watch *list, const char *path, const struct stat *facts) {
  for (int i = 0; i < FOLDERS; i++) {
    struct folder *folder = list->folders[i];
    if (!folder) continue;
    if (strcmp(folder->path, path) == 0) return i;
    if (!folder->lost && folder->device == facts->st_dev && folder->inode == facts->st_ino)
      return i;
  }
  return -1;
}

static void close_folder(struct folder *folder) {
  folder->list->folders[folder->number] = NULL;
  uv_close((uv_handle_t *)&folder->handle, folder_closed);
}

int cc_watch_add(struct cc_watch *list, const char *path) {
  struct stat facts;
  if (!look(path, &facts)) return cc_fail(CC_ENOTFOUND, "%s: not a folder", path);
  int number = find(list, path, &facts);
  if (number >= 0) return number;
  for (number = 0; number < FOLDERS && list->folders[number];)
    number++;
  if (number == FOLDERS) return cc_fail(CC_ELIMIT, "more than %d folders", FOLDERS);
  struct folder *folder = cc_alloc(sizeof *folder);
  uv_fs_event_init(list->retry.loop, &folder->handle);
  folder->handle.data = folder;
  folder->list = list;
  folder->path = cc_copy_text(path, strlen(path));
  folder->number = number;
  list->folders[number] = folder;
  list->handles++;
  int error = arm(folder);
  if (error) close_folder(folder);
  return error ? error : number;
}

void cc_watch_remove(struct cc_watch *list, int number) {
  if (number < 0 || number >= FOLDERS || !list->folders[number]) return;
  close_folder(list->folders[number]);
}

void cc_watch_close(struct cc_watch *list) {
  if (list->closing) return;
  list->closing = true;
  for (int i = 0; i < FOLDERS; i++)
    if (list->folders[i]) close_folder(list->folders[i]);
  uv_close((uv_handle_t *)&list->retry, timer_closed);
}
