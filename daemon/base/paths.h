/*
 * Where files are: the runtime directory, the control socket of a pool, and paths made absolute by text
 * alone. Symbolic links are kept as they are, so that a `current` link to a release still leads to the newest
 * one at a reload. All write a NUL-terminated path and return 0, or -ENAMETOOLONG when `size` does not hold
 * it.
 */
#ifndef FCGIPOOL_DAEMON_BASE_PATHS_H
#define FCGIPOOL_DAEMON_BASE_PATHS_H

#include "daemon/base/problem.h"

#include <stddef.h>
#include <sys/types.h>

/* /run/fcgipool for root, $XDG_RUNTIME_DIR/fcgipool, else /tmp/fcgipool-UID. The second form takes what the
 * first finds out: the effective user, and XDG_RUNTIME_DIR or NULL (ignored unless absolute). */
__attribute__((warn_unused_result)) int paths_runtime_directory(char *ret_path, size_t size);
__attribute__((warn_unused_result)) int paths_runtime_directory_of(uid_t user, const char *xdg,
                                                                   char *ret_path, size_t size);

/* Makes the runtime directory where it is missing (0755 for root, else 0700); see paths_make_directory. */
__attribute__((warn_unused_result)) int paths_make_runtime_directory(struct problem *problem);

/* Makes `path` with exactly `mode` where it is missing. Returns 0, or -errno with the reason in `problem`:
 * what is there must be a directory (no link to one), ours, and writable by nobody else, since who can write
 * to it can put sockets of his own into it. */
__attribute__((warn_unused_result)) int paths_make_directory(const char *path, mode_t mode,
                                                             struct problem *problem);

/* RUNTIME/NAME.sock. */
__attribute__((warn_unused_result)) int paths_control_socket(const char *name, char *ret_path, size_t size);

/* `path` as seen from `base`, which is absolute, without "." and double slashes; ".." stays. */
__attribute__((warn_unused_result)) int paths_absolute(const char *base, const char *path, char *ret_path,
                                                       size_t size);

/* The same from the working directory, as the shell calls it (PWD where that is right). May return -ENOENT.
 */
__attribute__((warn_unused_result)) int paths_absolute_here(const char *path, char *ret_path, size_t size);

/* The directory of an absolute path. */
__attribute__((warn_unused_result)) int paths_directory(const char *path, char *ret_path, size_t size);

/* A file that comes with this program: beside it, as in a build directory, or where the installation puts it,
 * wherever that was moved to. -ENOENT and others with the reason in `problem`. */
__attribute__((warn_unused_result)) int paths_part(const char *name, char *ret_path, size_t size,
                                                   struct problem *problem);

/* The last part of a path without what follows its last dot: "/etc/app.json" -> "app". */
__attribute__((warn_unused_result)) int paths_stem(const char *path, char *ret_stem, size_t size);

#endif
