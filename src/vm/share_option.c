/* SPDX-License-Identifier: Apache-2.0 */
/* What -v says: HOST:GUEST[:OPTION,...]. Contract: vm/shares.h. */
#include "vm/shares.h"

#include "base/cleanup.h"
#include "base/suggest.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NO_ID = -1 };

/* As written; NO_ID: not. */
struct share_ids {
    int64_t uid, gid, guest_uid, guest_gid;
};

static int option_unknown(const char *what, const char *word, struct err *err)
{
    static const char *const known[] = {"ro", "rw", "uid=", "gid=", "guest-uid=", "guest-gid="};
    struct suggest s = {.word = word};

    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        suggest_offer(&s, known[i]);
    return err_set(err, -EINVAL,
                   "%s: unknown option '%s'%s%s%s; there are ro, rw, uid=N, gid=N, guest-uid=N and "
                   "guest-gid=N",
                   what, word, s.best ? ", did you mean '" : "", s.best ? s.best : "",
                   s.best ? "'?" : "");
}

static int option_id(const char *what, const char *word, int64_t *ret, struct err *err)
{
    const char *text = strchr(word, '=') + 1;
    char *end;
    unsigned long v;

    errno = 0;
    v = strtoul(text, &end, 10);
    if (errno || *end || *text < '0' || *text > '9' || v >= UINT32_MAX)
        return err_set(err, -EINVAL, "%s: '%s': expected a number of a user or group", what, word);
    *ret = (int64_t)v;
    return 0;
}

static int option_word(const char *what, const char *word, struct vm_share *share,
                       struct share_ids *ids, struct err *err)
{
    const struct {
        const char *prefix;
        int64_t *id;
    } numbers[] = {{"uid=", &ids->uid},
                   {"gid=", &ids->gid},
                   {"guest-uid=", &ids->guest_uid},
                   {"guest-gid=", &ids->guest_gid}};

    if (!strcmp(word, "ro") || !strcmp(word, "rw")) {
        share->read_only = word[1] == 'o';
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (!strncmp(word, numbers[i].prefix, strlen(numbers[i].prefix)))
            return option_id(what, word, numbers[i].id, err);
    return option_unknown(what, word, err);
}

/* Who does the work on the host, and whom the guest sees. */
static int option_owner(const char *what, const struct share_ids *ids, struct vm_share *share,
                        struct err *err)
{
    bool named = ids->uid >= 0 || ids->gid >= 0;

    if (geteuid() != 0 && ((ids->uid >= 0 && ids->uid != (int64_t)geteuid()) ||
                           (ids->gid >= 0 && ids->gid != (int64_t)getegid())))
        return err_set(err, -EPERM,
                       "%s: only root can choose with uid= and gid= whose files are touched; yours "
                       "are user %u's",
                       what, geteuid());
    if (!named && geteuid() == 0 && (ids->guest_uid >= 0 || ids->guest_gid >= 0))
        return err_set(err, -EINVAL,
                       "%s: guest-uid= and guest-gid= need a uid=, the user of the host that all "
                       "files belong to",
                       what);
    share->squash = named || geteuid() != 0;
    if (!share->squash)
        return 0;
    share->uid = ids->uid >= 0 ? (unsigned)ids->uid : geteuid();
    share->gid = ids->gid >= 0                 ? (unsigned)ids->gid
                 : ids->uid >= 0 && !geteuid() ? share->uid
                                               : getegid();
    share->guest_uid = ids->guest_uid >= 0 ? (unsigned)ids->guest_uid : 0;
    share->guest_gid = ids->guest_gid >= 0 ? (unsigned)ids->guest_gid : share->guest_uid;
    return 0;
}

static int option_words(const char *what, char *words, struct vm_share *share, struct err *err)
{
    struct share_ids ids = {NO_ID, NO_ID, NO_ID, NO_ID};
    char *word;
    int r = 0;

    while (!r && (word = strsep(&words, ",")))
        r = option_word(what, word, share, &ids, err);
    return r ? r : option_owner(what, &ids, share, err);
}

/* files: a container can have a single file, too. */
static int option_host(const char *what, const char *path, bool files, struct vm_share *share,
                       struct err *err)
{
    struct stat st;

    share->host = *path ? realpath(path, NULL) : NULL;
    if (!*path)
        return err_set(err, -EINVAL, "%s: no folder of the host before the ':'", what);
    if (!share->host && errno == ENOENT)
        return err_set(err, -ENOENT,
                       "%s: there is no folder '%s' on this host; make it first (mkdir)", what,
                       path);
    if (!share->host || stat(share->host, &st) < 0)
        return err_set(err, -errno, "%s: folder '%s': %s", what, path, strerror(errno));
    if (!S_ISDIR(st.st_mode) && files)
        return 0;
    if (!S_ISDIR(st.st_mode))
        return err_set(err, -EINVAL, "%s: '%s' is not a folder; share the folder it lies in", what,
                       path);
    if (access(share->host, R_OK | X_OK) < 0)
        return err_set(err, -errno, "%s: folder '%s': %s", what, path, strerror(errno));
    return 0;
}

/* Made plain ("/a//b/" is "/a/b"), so that two of them can be compared. */
static int option_guest(const char *what, const char *path, struct vm_share *share, struct err *err)
{
    CLEANUP(free) char *copy = strdup(path);
    char *rest = copy, *part, *to;

    if (*path != '/')
        return err_set(err, -EINVAL, "%s: '%s': the guest's folder must be an absolute path", what,
                       path);
    to = share->guest = malloc(strlen(path) + 2);
    if (!copy || !to)
        return err_set(err, -ENOMEM, "out of memory");
    while ((part = strsep(&rest, "/"))) {
        if (!strcmp(part, "..") || !strcmp(part, "."))
            return err_set(err, -EINVAL, "%s: '%s': the guest's folder may have no '%s' in it",
                           what, path, part);
        if (*part)
            to += sprintf(to, "/%s", part);
    }
    if (to == share->guest)
        return err_set(err, -EINVAL, "%s: the guest's root cannot be replaced by a share", what);
    if (to - share->guest >= PATH_MAX)
        return err_set(err, -ENAMETOOLONG, "%s: the guest's folder has too long a name", what);
    return 0;
}

int vm_share_parse(const char *what, const char *text, bool files, struct vm_share *share,
                   struct err *err)
{
    CLEANUP(free) char *copy = strdup(text);
    char *guest = copy ? strstr(copy, ":/") : NULL, *words;
    int r;

    if (!copy)
        return err_set(err, -ENOMEM, "out of memory");
    if (!guest)
        return strchr(text, ':')
                   ? err_set(err, -EINVAL, "%s '%s': the guest's folder must be an absolute path",
                             what, text)
                   : err_set(err, -EINVAL, "%s '%s': expected HOST:GUEST[:ro]", what, text);
    *guest++ = '\0';
    words = strchr(guest, ':');
    if (words)
        *words++ = '\0';
    r = option_host(what, copy, files, share, err);
    if (!r)
        r = option_guest(what, guest, share, err);
    return r ? r : option_words(what, words, share, err);
}

int vm_share_add(const char *what, const char *text, struct vm_config *config, struct err *err)
{
    unsigned n = config->share_count;
    int r;

    if (n == VM_SHARES_MAX)
        return err_set(err, -EINVAL, "%s: at most %d of them", what, VM_SHARES_MAX);
    config->share_count++; /* counted first: done() frees a half-read one */
    r = vm_share_parse(what, text, config->technique == TECHNIQUE_CONTAINER, &config->share[n],
                       err);
    for (unsigned i = 0; !r && i < n; i++)
        if (!strcmp(config->share[i].guest, config->share[n].guest))
            r = err_set(err, -EINVAL, "%s: the guest's '%s' is asked for twice", what,
                        config->share[n].guest);
    if (!r)
        (void)snprintf(config->share[n].tag, sizeof(config->share[n].tag), "share%u", n);
    return r;
}
