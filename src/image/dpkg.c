/* SPDX-License-Identifier: Apache-2.0 */
/* Packages as dpkg unpacks them. Contract: image/dpkg.h. */
#include "image/dpkg.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "image/layer.h"
#include "image/package.h"
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { DPKG_MEMBERS_MAX = 32, DPKG_MEMBER_MAX = 8 << 20, DPKG_PATH_MAX = 4096 };

struct dpkg_member {
    char name[32];
    char *data; /* NUL-terminated */
    size_t len;
};

struct dpkg {
    struct tree *tree;
    struct buf status;
    /* of the package being unpacked */
    struct dpkg_member member[DPKG_MEMBERS_MAX];
    unsigned members;
    struct buf list;
    char renamed[DPKG_PATH_MAX];
    bool failed; /* out of memory in a callback */
};

void dpkg_free(struct dpkg *d)
{
    if (!d)
        return;
    for (unsigned i = 0; i < d->members; i++)
        free(d->member[i].data);
    buf_done(&d->status);
    buf_done(&d->list);
    free(d);
}

static int dpkg_link(struct tree *t, const char *name, struct err *err)
{
    char to[32];
    struct tree_entry e = {.path = name, .mode = S_IFLNK | 0777, .target = to};
    struct tree_inode *inode;

    (void)snprintf(to, sizeof(to), "usr/%s", name);
    return tree_put(t, &e, &inode, err);
}

int dpkg_open(struct tree *t, const char *arch, struct dpkg **ret, struct err *err)
{
    static const char *const links[] = {"bin", "lib", "sbin", "lib64"};
    static const char *const empty[] = {"var/lib/dpkg/available", "var/lib/dpkg/diversions",
                                        "var/lib/dpkg/statoverride"};
    const struct tree_entry tmp = {.path = "tmp", .mode = S_IFDIR | 01777};
    struct tree_inode *inode;
    struct dpkg *d = calloc(1, sizeof(*d));
    int r = d ? 0 : err_set(err, -ENOMEM, "out of memory");
    char dir[32];

    t->keep_links = true;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(links); i++) {
        struct tree_entry usr = {.path = dir, .mode = S_IFDIR | 0755};

        if (strcmp(links[i], "lib64") == 0 && strcmp(arch, "amd64") != 0)
            continue;
        (void)snprintf(dir, sizeof(dir), "usr/%s", links[i]);
        r = tree_put(t, &usr, &inode, err);
        if (r == 0)
            r = dpkg_link(t, links[i], err);
    }
    if (r == 0)
        r = tree_put(t, &tmp, &inode, err);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(empty); i++)
        r = tree_put_file(t, empty[i], 0644, "", 0, err);
    if (r == 0)
        r = tree_put_file(t, "var/lib/dpkg/info/format", 0644, "1\n", 2, err);
    if (r < 0)
        dpkg_free(d);
    else
        d->tree = t;
    if (r == 0)
        *ret = d;
    return r;
}

/* --- control.tar --- */

static const struct dpkg_member *dpkg_member(const struct dpkg *d, const char *name)
{
    for (unsigned i = 0; i < d->members; i++)
        if (strcmp(d->member[i].name, name) == 0)
            return &d->member[i];
    return NULL;
}

static int dpkg_read_control(void *arg, struct archive *tar, struct err *err)
{
    struct dpkg *d = arg;
    struct archive_entry *e;
    int s;

    while ((s = archive_read_next_header(tar, &e)) == ARCHIVE_OK) {
        const char *path = archive_entry_pathname(e), *slash = path ? strrchr(path, '/') : NULL;
        const char *name = slash ? slash + 1 : path;
        struct dpkg_member *m = &d->member[d->members];
        char *grown;
        int r;

        if (!name || !*name || archive_entry_filetype(e) != AE_IFREG)
            continue;
        if (d->members == DPKG_MEMBERS_MAX || strlen(name) >= sizeof(m->name))
            return err_set(err, -EIO, "its control archive is not understood");
        r = package_slurp(tar, DPKG_MEMBER_MAX, (uint8_t **)&m->data, &m->len);
        if (r < 0)
            return err_set(err, r, "its control archive: %s", strerror(-r));
        d->members++;
        (void)snprintf(m->name, sizeof(m->name), "%s", name);
        grown = realloc(m->data, m->len + 1);
        if (!grown)
            return err_set(err, -ENOMEM, "out of memory");
        m->data = grown;
        m->data[m->len] = '\0';
    }
    return s == ARCHIVE_EOF ? 0 : err_set(err, -EIO, "its control archive cannot be read");
}

/* The value of a field of a control file; false: not there. */
static bool dpkg_field(const char *text, const char *field, char *value, size_t size)
{
    size_t len = strlen(field);

    for (const char *at = text; at; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncasecmp(at, field, len) != 0 || at[len] != ':')
            continue;
        at += len + 1;
        at += strspn(at, " ");
        return snprintf(value, size, "%.*s", (int)strcspn(at, "\n"), at) < (int)size;
    }
    return false;
}

/* --- data.tar --- */

static bool dpkg_is_conffile(const struct dpkg *d, const char *path)
{
    const struct dpkg_member *m = dpkg_member(d, "conffiles");
    size_t len = strlen(path);

    for (const char *at = m ? m->data : NULL; at && *at; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, "/", 1) == 0 && strncmp(at + 1, path, len) == 0 &&
            (at[len + 1] == '\n' || !at[len + 1]))
            return true;
    }
    return false;
}

/* Notes every path in the package's list; configuration files are put beside their places. */
static const char *dpkg_note(void *arg, const char *path, bool dir)
{
    struct dpkg *d = arg;
    size_t len;

    path += strncmp(path, "./", 2) == 0 ? 2 : 0;
    len = strlen(path);
    while (len && path[len - 1] == '/')
        len--;
    if (len >= sizeof(d->renamed) - 16) {
        d->failed = true;
        return NULL;
    }
    (void)snprintf(d->renamed, sizeof(d->renamed), "/%.*s\n", len ? (int)len : 1, len ? path : ".");
    if (buf_append(&d->list, d->renamed, strlen(d->renamed)) < 0)
        d->failed = true;
    (void)snprintf(d->renamed, sizeof(d->renamed), "%.*s", (int)len, path);
    if (dir || !dpkg_is_conffile(d, d->renamed))
        return NULL;
    (void)snprintf(d->renamed + len, sizeof(d->renamed) - len, ".dpkg-new");
    return d->renamed;
}

static int dpkg_lay(void *arg, struct archive *tar, struct err *err)
{
    struct dpkg *d = arg;

    return layer_lay_tar(d->tree, tar, dpkg_note, d, err);
}

/* --- the database --- */

static int dpkg_put_info(struct dpkg *d, const char *package, const char *kind, const void *data,
                         size_t len, struct err *err)
{
    bool script = strstr("preinst postinst prerm postrm config", kind) != NULL;
    char path[512];

    (void)snprintf(path, sizeof(path), "var/lib/dpkg/info/%s.%s", package, kind);
    return tree_put_file(d->tree, path, script ? 0755 : 0644, data, len, err);
}

static int dpkg_say(struct dpkg *d, const char *text, size_t len)
{
    return buf_append(&d->status, text, len);
}

/* The paragraph of the status file: the control file with what dpkg adds. */
static int dpkg_put_status(struct dpkg *d, const char *control)
{
    static const char unpacked[] = "Status: install ok unpacked\n";
    const struct dpkg_member *conffiles = dpkg_member(d, "conffiles");
    const char *line = strchr(control, '\n'), *at;
    size_t first = line ? (size_t)(line - control) + 1 : strlen(control), rest;
    int r = dpkg_say(d, control, first);

    if (r == 0)
        r = dpkg_say(d, unpacked, strlen(unpacked));
    rest = strlen(control + first);
    while (rest && control[first + rest - 1] == '\n')
        rest--;
    if (r == 0)
        r = dpkg_say(d, control + first, rest);
    if (r == 0)
        r = dpkg_say(d, "\n", 1);
    if (r == 0 && conffiles)
        r = dpkg_say(d, "Conffiles:\n", 11);
    for (at = conffiles ? conffiles->data : NULL; r == 0 && at && *at; at += strspn(at, "\n")) {
        size_t len = strcspn(at, "\n");

        if (*at == '/') { /* others ("remove-on-upgrade ...") are no files of the package */
            r = dpkg_say(d, " ", 1);
            if (r == 0)
                r = dpkg_say(d, at, len);
            if (r == 0)
                r = dpkg_say(d, " newconffile\n", 13);
        }
        at += len;
    }
    return r == 0 ? dpkg_say(d, "\n", 1) : r;
}

static int dpkg_record(struct dpkg *d, struct err *err)
{
    const struct dpkg_member *control = dpkg_member(d, "control");
    char package[256], arch[64], multi[32] = "";
    int r = 0;

    if (!control || !dpkg_field(control->data, "Package", package, sizeof(package) - 70) ||
        !dpkg_field(control->data, "Architecture", arch, sizeof(arch)) || strchr(package, '/') ||
        strchr(arch, '/'))
        return err_set(err, -EIO, "its control file is not understood");
    (void)dpkg_field(control->data, "Multi-Arch", multi, sizeof(multi));
    if (strcmp(multi, "same") == 0)
        (void)snprintf(package + strlen(package), sizeof(package) - strlen(package), ":%s", arch);
    r = dpkg_put_info(d, package, "list", buf_data(&d->list), d->list.len, err);
    for (unsigned i = 0; r == 0 && i < d->members; i++)
        if (&d->member[i] != control)
            r = dpkg_put_info(d, package, d->member[i].name, d->member[i].data, d->member[i].len,
                              err);
    if (r == 0 && dpkg_put_status(d, control->data) < 0)
        r = err_set(err, -ENOMEM, "out of memory");
    return r;
}

int dpkg_unpack(struct dpkg *d, const char *deb, struct err *err)
{
    const char *slash = strrchr(deb, '/');
    int r;

    for (unsigned i = 0; i < d->members; i++)
        free(d->member[i].data);
    memset(d->member, 0, sizeof(d->member));
    d->members = 0;
    buf_done(&d->list);
    r = package_open(deb, "control.tar", dpkg_read_control, d, err);
    if (r == 0)
        r = package_open(deb, "data.tar", dpkg_lay, d, err);
    if (r == 0 && d->failed)
        r = err_set(err, -ENOMEM, "out of memory");
    if (r == 0)
        r = dpkg_record(d, err);
    return r < 0 ? err_wrap(err, r, "package %s", slash ? slash + 1 : deb) : 0;
}

int dpkg_close(struct dpkg *d, struct err *err)
{
    return tree_put_file(d->tree, "var/lib/dpkg/status", 0644, buf_data(&d->status), d->status.len,
                         err);
}
