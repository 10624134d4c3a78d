#define _GNU_SOURCE
#include "CUring.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

struct cairn_ring {
    struct io_uring ring;
};

enum { WRITE_TAG = 1, SYNC_TAG = 2 };

cairn_ring *cairn_ring_open(int *error) {
    cairn_ring *opened = calloc(1, sizeof(cairn_ring));
    if (!opened) {
        *error = ENOMEM;
        return NULL;
    }
    int result = io_uring_queue_init(4, &opened->ring, 0);
    if (result < 0) {
        *error = -result;
        free(opened);
        return NULL;
    }
    *error = 0;
    return opened;
}

void cairn_ring_close(cairn_ring *ring) {
    io_uring_queue_exit(&ring->ring);
    free(ring);
}

int cairn_ring_submit(cairn_ring *ring, int file, const void *bytes, size_t size, uint64_t offset) {
    struct io_uring_sqe *write = io_uring_get_sqe(&ring->ring);
    struct io_uring_sqe *sync = io_uring_get_sqe(&ring->ring);
    if (!write || !sync) return EBUSY;
    io_uring_prep_write(write, file, bytes, (unsigned)size, offset);
    io_uring_sqe_set_flags(write, IOSQE_IO_LINK);
    io_uring_sqe_set_data64(write, WRITE_TAG);
    io_uring_prep_fsync(sync, file, IORING_FSYNC_DATASYNC);
    io_uring_sqe_set_data64(sync, SYNC_TAG);
    int submitted;
    do submitted = io_uring_submit(&ring->ring);
    while (submitted == -EINTR || submitted == -EAGAIN);
    if (submitted < 0) return -submitted;
    return submitted == 2 ? 0 : EIO;
}

unsigned cairn_ring_ready(cairn_ring *ring) { return io_uring_cq_ready(&ring->ring); }

int cairn_ring_wait(cairn_ring *ring, long *written, int *synced) {
    for (int seen = 0; seen < 2; seen++) {
        struct io_uring_cqe *completion;
        int result;
        do result = io_uring_wait_cqe_nr(&ring->ring, &completion, (unsigned)(2 - seen));
        while (result == -EINTR);
        if (result < 0) return -result;
        if (completion->user_data == WRITE_TAG) *written = completion->res;
        else *synced = completion->res;
        io_uring_cqe_seen(&ring->ring, completion);
    }
    return 0;
}

int cairn_o_direct(void) { return O_DIRECT; }

int cairn_o_tmpfile(void) { return O_TMPFILE; }

void cairn_name_thread(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

int cairn_spawn_closes_from(posix_spawn_file_actions_t *actions, int first) {
    return posix_spawn_file_actions_addclosefrom_np(actions, first);
}

int cairn_forbid_io_uring(void) {
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (EPERM & SECCOMP_RET_DATA)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {.len = sizeof(program) / sizeof(program[0]), .filter = program};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) return errno;
    return 0;
}
