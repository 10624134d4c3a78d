#ifndef CAIRN_CURING_H
#define CAIRN_CURING_H
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>

/* What the log needs of io_uring: one aligned write and an fdatasync after it, handed to the kernel at once. */
typedef struct cairn_ring cairn_ring;

/* A ring for one writer thread; NULL with *error = errno when the kernel refuses. */
cairn_ring *cairn_ring_open(int *error);
void cairn_ring_close(cairn_ring *ring);

/* Hands over write(bytes, size, offset) linked to fdatasync. 0, or an errno: then nothing is under way. */
int cairn_ring_submit(cairn_ring *ring, int file, const void *bytes, size_t size, uint64_t offset);

/* How many of the two are done, without a system call. */
unsigned cairn_ring_ready(cairn_ring *ring);

/* Waits for both. *written: bytes written or -errno; *synced: 0 or -errno (-ECANCELED after a short write).
   Returns 0, or an errno when the results could not be had; then the ring must be closed. */
int cairn_ring_wait(cairn_ring *ring, long *written, int *synced);

/* O_DIRECT, which differs between architectures and hides behind _GNU_SOURCE. */
int cairn_o_direct(void);

/* O_TMPFILE, for the same reason. */
int cairn_o_tmpfile(void);

/* Names the calling thread, at most 15 bytes. */
void cairn_name_thread(const char *name);

/* A program that is started with these actions inherits no descriptor from `first` on. glibc hides the call behind
   _GNU_SOURCE. 0 or an errno. */
int cairn_spawn_closes_from(posix_spawn_file_actions_t *actions, int first);

/* From now on io_uring_setup fails with EPERM in the calling thread and in threads it makes, as under a container's
   seccomp profile. For tests of the fallback. 0 or an errno; cannot be undone. */
int cairn_forbid_io_uring(void);
#endif
