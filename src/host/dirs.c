/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data, cache and run directories by user. Spec: XDG Base Directory 0.8; without
 * XDG_RUNTIME_DIR the run directory is /tmp/posada-UID, taken only when it is ours and closed to
 * others (anyone may have put something of that name there first).
 */
#include "host/dirs.h"

#include "base/cleanup.h"
#include "host/file.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

struct dirs_place {
    const char *override; /* environment variable that replaces all */
    const char *root;     /* for root */
    const char *xdg;      /* environment variable of the base, for others */
    const char *home;     /* below $HOME when that is unset; NULL: /tmp */
    mode_t root_mode;     /* a guest's own uid must be able to pass through */
};

static const struct dirs_place dirs_places[] = {
    [DIRS_DATA] = {"POSADA_DATA_DIR", "/var/lib/posada", "XDG_DATA_HOME", ".local/share", 0711},
    [DIRS_CACHE] = {"POSADA_CACHE_DIR", "/var/cache/posada", "XDG_CACHE_HOME", ".cache", 0755},
    [DIRS_RUN] = {"POSADA_RUN_DIR", "/run/posada", "XDG_RUNTIME_DIR", NULL, 0711},
};

/* An environment variable that names an absolute path; others are ignored, as XDG asks. */
static const char *dirs_env(const char *name)
{
    const char *value = getenv(name);

    return value && value[0] == '/' ? value : NULL;
}

static int dirs_name(const struct dirs_place *place, char **ret_path)
{
    const char *value = dirs_env(place->override), *home;
    int n;

    if (value)
        n = asprintf(ret_path, "%s", value);
    else if (geteuid() == 0)
        n = asprintf(ret_path, "%s", place->root);
    else if ((value = dirs_env(place->xdg)))
        n = asprintf(ret_path, "%s/posada", value);
    else if (place->home && (home = dirs_env("HOME")))
        n = asprintf(ret_path, "%s/%s/posada", home, place->home);
    else if (!place->home)
        n = asprintf(ret_path, "/tmp/posada-%u", geteuid());
    else
        return -ENOENT;
    return n < 0 ? -ENOMEM : 0;
}

/* Ours is not the XDG's: who sets it wants it. */
static int dirs_check_override(const char *name, struct err *err)
{
    const char *value = getenv(name);

    if (!value || !*value || *value == '/')
        return 0;
    return err_set(err, -EINVAL, "%s is '%.200s': it must be an absolute path", name, value);
}

static int dirs_check_owner(const char *path, struct err *err)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        return err_set(err, -errno, "directory %s: %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
        return err_set(err, -EPERM,
                       "directory %s: must be a directory of yours that nobody else can write to; "
                       "remove it or set another place",
                       path);
    return 0;
}

int dirs_get(enum dirs_kind kind, char **ret_path, struct err *err)
{
    const struct dirs_place *place = &dirs_places[kind];
    CLEANUP(free) char *path = NULL;
    int r = dirs_check_override(place->override, err);

    if (r < 0)
        return r;
    r = dirs_name(place, &path);
    if (r < 0)
        return err_set(err, r, "cannot tell where to keep files: set HOME or %s", place->override);
    r = file_make_dirs(path, geteuid() == 0 ? place->root_mode : 0700, err);
    if (!r)
        r = dirs_check_owner(path, err);
    if (!r)
        *ret_path = TAKE(path);
    return r;
}

int dirs_get_sub(enum dirs_kind kind, const char *folder, char **ret_path, struct err *err)
{
    CLEANUP(free) char *path = NULL, *sub = NULL;
    int r = dirs_get(kind, &path, err);

    if (r < 0)
        return r;
    if (asprintf(&sub, "%s/%s", path, folder) < 0)
        return err_set(err, -ENOMEM, "directory %s/%s: out of memory", path, folder);
    r = file_make_dirs(sub, geteuid() == 0 ? dirs_places[kind].root_mode : 0700, err);
    if (!r)
        *ret_path = TAKE(sub);
    return r;
}
