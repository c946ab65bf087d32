/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers as transient scopes of systemd (org.freedesktop.systemd1(5), systemd.resource-control
 * (5)): the manager makes the control group, knows its limits as properties and keeps it below the
 * slice that was asked for. A scope is born with a process in it; the container itself lives in a
 * group below, "container", which is delegated to us: there systemd changes nothing, and every
 * limit can be set by its file. On version 1 hierarchies the scope's own group is the container's.
 *
 * linux.cgroupsPath reads "slice:prefix:name", as engines write it.
 */
#pragma once

#include "container/cgroup.h"
#include "container/dbus.h"

struct systemd_scope {
    const char *slice, *name; /* "machine.slice", "libpod-12.scope" */
    const char *group;        /* the scope's control group, from the hierarchy's root */
    const char *inner;        /* the container's group below it, "": none */
};

/* Splits and checks cgroupsPath; NULL or "": the usual slice and posada-ID.scope. */
int must_use systemd_names(struct arena *arena, const char *cgroups_path, const char *id,
                           bool rootless, struct systemd_scope *ret, struct err *err);
/* "/a.slice/a-b.slice" of "a-b.slice"; NULL: no memory. */
const char *systemd_slice_path(struct arena *arena, const char *slice);

/* Whether we are an ordinary user to the host: by number, or root of a user namespace only. */
bool systemd_is_rootless(void);
/* The system's or the user's manager: by its bus, or else directly. */
int must_use systemd_open(struct dbus *d, struct err *err);
/* Where the scope will be: fills in group and inner. */
int must_use systemd_find(struct dbus *d, struct arena *arena, bool v2, const char *subgroup,
                          struct systemd_scope *scope, struct err *err);
/* Makes the scope with pid in it and waits until it is there. */
int must_use systemd_start(struct dbus *d, const struct systemd_scope *scope, const char *id,
                           pid_t pid, const struct spec *spec, bool v2, struct err *err);
/* Changes its properties; limits that are none of them are left to files. */
int must_use systemd_update(struct dbus *d, const char *name, const struct spec_resources *r,
                            bool v2, struct err *err);
/* Moves a process into the scope's group below. */
int must_use systemd_attach(struct dbus *d, const char *name, const char *inner, pid_t pid,
                            struct err *err);
/* Ends what is left in the scope and waits until it is gone; no such scope is fine. */
int must_use systemd_stop(struct dbus *d, const char *name, struct err *err);

/* Parts, in a file of their own: limits and annotations as a(sv). */
void systemd_put_resources(struct dbus_body *b, const struct spec_resources *r, bool v2);
/* Annotations "org.systemd.property.NAME": a GVariant text each. */
int must_use systemd_put_annotations(struct dbus_body *b, const struct json *annotations,
                                     struct err *err);
void systemd_put_text(struct dbus_body *b, const char *name, const char *value);
void systemd_put_bool(struct dbus_body *b, const char *name, bool value);
void systemd_put_u64(struct dbus_body *b, const char *name, uint64_t value);
/* A list of CPUs or nodes ("0-3,7") as systemd takes it: a bit each, least byte first. The number
 * of bytes; 0: no list. */
size_t systemd_list_bits(const char *list, uint8_t *bits, size_t room);
