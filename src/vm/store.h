/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guests on disk: DATA/guests/NAME holds config.json, state.json, logs and a lock file that the
 * guest's processes keep locked for as long as they live, however they end; RUN/guests/UUID holds
 * the control socket. A guest appears, changes its name and vanishes by one rename, so there are no
 * half guests: its name is its directory's and is kept nowhere else.
 *
 * What a crash left behind (a guest whose process died without a word, its socket, half-made or
 * half-removed directories) is put right by store_tidy(), which every verb calls first.
 */
#pragma once

#include <posada/vm.h>
#include <stdbool.h>
#include <sys/types.h>

/* state.json: what is known of a guest's last or present run. */
struct guest_record {
    enum vm_state state;
    char reason[300]; /* of a failure; or what a start waits for */
    char engine[16];
    pid_t pid; /* of the process that runs the guest; 0: none. Read only: guest_write_pid() */
    bool agent;
    bool by_request;                  /* ended because somebody asked for it */
    unsigned restarts;                /* in a row, by its restart policy */
    unsigned exit_code;               /* once stopped */
    uint64_t created, started, ended; /* seconds since 1970, 0: not yet */
};

struct guest {
    char name[VM_NAME_MAX + 1]; /* when it was opened or guest_refresh()ed */
    char uuid[37];              /* "": its configuration cannot be read */
    int dir_fd;                 /* DATA/guests/NAME */
    int lock_fd;                /* its lock file */
};

#define GUEST_NONE ((struct guest){.dir_fd = -1, .lock_fd = -1})

/* Makes a guest of config and locks it. An empty config->name is filled with a generated one; a
 * name that exists is -EEXIST. */
int must_use store_create(struct vm_config *config, struct guest *ret_guest, struct err *err);
/* Finds a guest by name or by the beginning (4 letters or more) of its UUID. Not locked. */
int must_use store_open(const char *name, struct guest *ret_guest, struct err *err);
/* The same guest once more, not locked; whatever it is called by now. */
int must_use guest_open_again(const struct guest *guest, struct guest *ret_guest, struct err *err);
/* A guest by inherited descriptors, which are taken over; the lock with all that it is. */
int must_use guest_adopt(int dir_fd, int lock_fd, struct guest *ret_guest);
void guest_close(struct guest *guest);
/* Takes over the name that somebody may have given it since. -ENOENT: it is removed. */
int guest_refresh(struct guest *guest);

/* Locks a guest that nobody runs, to run or change it; -EBUSY while its process lives, -EAGAIN for
 * a container that goes on without its monitor, until the next one has taken it over. The lock goes
 * with guest_close(), or when the processes that inherit its descriptor have ended. */
int must_use store_lock_guest(struct guest *guest, struct err *err);
/* Gives a guest another name, also one that runs; -EEXIST when that one is taken. */
int must_use store_rename(struct guest *guest, const char *name, struct err *err);

/* Changes a guest's configuration, running or not, as one step for everybody else who does. */
int must_use store_change(struct guest *guest,
                          int (*fn)(const void *arg, struct vm_config *config, struct err *err),
                          const void *arg, struct err *err);

/* Names of all guests, sorted, NULL-terminated; vm_strings_free(). */
int must_use store_list(char ***ret_names, struct err *err);
/* Removes a stopped guest with all that belongs to it; -EBUSY and -EAGAIN as for
 * store_lock_guest(). */
int must_use store_remove(struct guest *guest, struct err *err);
/* The same for one whose lock the caller holds. */
int must_use store_remove_locked(struct guest *guest, struct err *err);
void store_tidy(void);

int must_use guest_write_config(const struct guest *guest, const struct vm_config *config,
                                struct err *err);
int must_use guest_read_config(const struct guest *guest, struct vm_config *config,
                               struct err *err);
/* Writes down, once, that a guest died without a word; for who holds its lock. True: so it was. */
bool guest_bury(const struct guest *guest);
/* As it is written, for those who hold the guest's lock themselves. */
int must_use guest_read_own_record(const struct guest *guest, struct guest_record *ret,
                                   struct err *err);
/* Honest: a record that says "running" of a process that is gone reads as failed. */
int must_use guest_read_record(const struct guest *guest, struct guest_record *ret,
                               struct err *err);
int must_use guest_write_record(const struct guest *guest, const struct guest_record *record,
                                struct err *err);
/* The pid has a file of its own, which the guest's process cannot write: others may act on it.
 * 0: no process any more. */
int must_use guest_write_pid(const struct guest *guest, pid_t pid, struct err *err);
/* Whether somebody asked for the guest's end since its last start: its keeper then starts it no
 * more. Survives everything but the next start. */
int must_use guest_want_stopped(const struct guest *guest, bool stopped, struct err *err);
bool guest_is_wanted_stopped(const struct guest *guest);
bool guest_is_alive(const struct guest *guest);
/* Waits until the guest's processes are gone and their leftovers cleaned; -ETIMEDOUT. */
int must_use guest_wait_gone(const struct guest *guest, unsigned timeout_ms);
bool vm_state_is_final(enum vm_state state);

/* RUN/guests/UUID, made when missing. The control socket is "control" in it. */
int must_use guest_run_dir(const struct guest *guest, int *ret_dir_fd, struct err *err);
/* Only one that is there: -ENOENT. */
int must_use guest_open_run_dir(const struct guest *guest, int *ret_dir_fd, struct err *err);
bool guest_has_run_dir(const struct guest *guest);
void guest_remove_run_dir(const struct guest *guest);

/* A new random UUID (RFC 9562 version 4). */
void vm_uuid_new(char ret_uuid[37]);
/* A new random MAC address, locally administered. */
void vm_mac_new(char ret_mac[18]);
