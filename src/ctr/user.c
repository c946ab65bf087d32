/* SPDX-License-Identifier: Apache-2.0 */
/* Users by name. Contract: ctr/user.h. Formats: passwd(5), group(5). */
#include "ctr/user.h"

#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { USER_FILE_MAX = 1 << 20, USER_FIELDS = 7, USER_WISH_MAX = 256 };

/* The file's text, NULL when there is none that can be read. */
static char *user_read(int root_fd, const char *path)
{
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    CLEANUP(fd) int fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
    struct stat st;
    char *text;
    size_t len = 0;
    ssize_t n = 1;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > USER_FILE_MAX)
        return NULL;
    text = malloc(USER_FILE_MAX + 1);
    while (text && len < USER_FILE_MAX && (n = read(fd, text + len, USER_FILE_MAX - len)) > 0)
        len += (size_t)n;
    if (text)
        text[len] = '\0';
    return text;
}

/* Splits a line at ':' in place; the number of fields. */
static unsigned user_fields(char *line, char *field[USER_FIELDS])
{
    unsigned n = 0;

    while (line && n < USER_FIELDS)
        field[n++] = strsep(&line, ":");
    return n;
}

static bool user_number(const char *text, uint32_t *ret)
{
    char *end;
    unsigned long v;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    v = strtoul(text, &end, 10);
    if (errno || *end || v >= UINT32_MAX)
        return false;
    *ret = (uint32_t)v;
    return true;
}

/* A line of passwd by name, or by number. True: found. */
static bool user_passwd(char *text, const char *name, bool number, struct ctr_user *u)
{
    char *line, *field[USER_FIELDS];
    uint32_t uid, gid;

    while (text && (line = strsep(&text, "\n"))) {
        unsigned n = user_fields(line, field);

        if (n < 4 || !user_number(field[2], &uid) || !user_number(field[3], &gid) ||
            (number ? uid != u->uid : strcmp(field[0], name) != 0))
            continue;
        u->uid = uid;
        u->gid = gid;
        if (n > 5 && *field[5] == '/' && strlen(field[5]) < sizeof(u->home))
            strcpy(u->home, field[5]);
        return true;
    }
    return false;
}

static bool user_is_member(char *members, const char *name)
{
    char *one;

    while (members && (one = strsep(&members, ",")))
        if (!strcmp(one, name))
            return true;
    return false;
}

/* The groups that name is in. */
static void user_groups(char *text, const char *name, struct ctr_user *u)
{
    char *line, *field[USER_FIELDS];
    uint32_t gid;

    while (text && u->group_count < CTR_GROUPS_MAX && (line = strsep(&text, "\n"))) {
        if (user_fields(line, field) < 4 || !user_number(field[2], &gid) || gid == u->gid)
            continue;
        if (user_is_member(field[3], name))
            u->groups[u->group_count++] = gid;
    }
}

static bool user_group(char *text, const char *name, uint32_t *ret_gid)
{
    char *line, *field[USER_FIELDS];

    while (text && (line = strsep(&text, "\n")))
        if (user_fields(line, field) >= 3 && !strcmp(field[0], name))
            return user_number(field[2], ret_gid);
    return false;
}

static int user_find_group(int root_fd, const char *name, uint32_t *ret_gid, struct err *err)
{
    CLEANUP(free) char *text = NULL;

    if (user_number(name, ret_gid))
        return 0;
    text = user_read(root_fd, "etc/group");
    if (user_group(text, name, ret_gid))
        return 0;
    return err_set(err, -EIO, "user: the container has no group '%.60s'", name);
}

static int user_find_name(int root_fd, char *name, struct ctr_user *u, struct err *err)
{
    CLEANUP(free) char *passwd = user_read(root_fd, "etc/passwd");
    CLEANUP(free) char *group = NULL;
    bool number = user_number(name, &u->uid);

    if (!user_passwd(passwd, name, number, u) && !number)
        return err_set(err, -EIO, "user: the container has no user '%.60s'", name);
    if (number)
        return 0;
    group = user_read(root_fd, "etc/group");
    user_groups(group, name, u);
    return 0;
}

int ctr_user_find(int root_fd, const char *wish, struct ctr_user *ret, struct err *err)
{
    struct ctr_user u = {.home = "/"};
    char name[USER_WISH_MAX], *group;
    char root[] = "0";
    int r;

    if (strlen(wish) >= sizeof(name))
        return err_set(err, -EINVAL, "user '%.60s...': too long", wish);
    strcpy(name, wish);
    group = strchr(name, ':');
    if (group)
        *group++ = '\0';
    r = user_find_name(root_fd, *name ? name : root, &u, err);
    if (!r && group && *group) {
        r = user_find_group(root_fd, group, &u.gid, err);
        u.group_count = 0;
    }
    if (!r)
        *ret = u;
    return r;
}
