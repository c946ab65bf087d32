/* SPDX-License-Identifier: Apache-2.0 */
/* Packages by the host's apt in a private root. Contract: image/apt.h; settings: apt.conf(5). */
#include "image/apt.h"

#include "base/cleanup.h"
#include "host/dirs.h"
#include "host/file.h"
#include "image/child.h"
#include "image/digest.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DEBIAN_KEYRING "/usr/share/keyrings/debian-archive-keyring.gpg"
#define DEFAULT_MIRROR "http://deb.debian.org/debian"

enum { APT_OUTPUT_MAX = 16 << 20, APT_CONFIG_MAX = 8192, APT_SOLVED_MAX = 4096 };

static void cleanup_buf(struct buf *b)
{
    buf_done(b);
}

static void apt_step(const struct apt *apt, const char *text)
{
    if (apt->progress && apt->progress->step)
        apt->progress->step(apt->progress->arg, text);
}

/* "dlstatus:FILE:PERCENT:TEXT" (apt's progress-reporting.md). */
static void apt_status(void *arg, const char *line)
{
    const struct apt *apt = arg;
    double percent;

    if (apt->progress && apt->progress->amount &&
        sscanf(line, "dlstatus:%*[^:]:%lf:", &percent) == 1 && percent >= 0 && percent <= 100)
        apt->progress->amount(apt->progress->arg, (unsigned)percent);
}

/* Why apt failed, as one sentence with what to do about it. */
static int apt_error(const struct apt *apt, const struct child *c, const char *what,
                     struct err *err)
{
    char line[300] = "unknown cause";

    if (!child_error_line(c, "E: ", line, sizeof(line)))
        (void)child_error_line(c, "W: ", line, sizeof(line));
    if (strstr(c->errors, "No space left on device"))
        return err_set(err, -ENOSPC, "%s: no space left on device below %s", what, apt->root);
    if (strstr(c->errors, "NO_PUBKEY") || strstr(c->errors, "EXPKEYSIG") ||
        (strstr(c->errors, "is not signed") && !strstr(c->errors, "Failed to fetch")))
        return err_set(err, -EIO, "%s: the archive's signature cannot be checked: %s", what, line);
    return err_set(err, -EIO, "%s from %s: %s; check the network and the mirror, then try again",
                   what, apt->mirror, line);
}

static int apt_run(struct apt *apt, struct child *c, const char *what, struct err *err)
{
    int r = child_run(c, err);

    if (r == -ENOENT)
        return err_set(err, -EIO,
                       "%s: %s is missing on this host; images are made with "
                       "Debian's apt",
                       what, c->argv[0]);
    return r > 0 ? apt_error(apt, c, what, err) : r;
}

/* Set-up */

/* The host's own mirror of Debian, where there is one. */
static char *apt_host_mirror(void)
{
    static const char *const argv[] = {"apt-get",
                                       "indextargets",
                                       "--format",
                                       "$(ORIGIN) $(COMPONENT) $(CODENAME) $(REPO_URI)",
                                       "Created-By: Packages",
                                       NULL};
    CLEANUP(buf) struct buf out = {0};
    struct child c = {.argv = argv, .output = &out, .output_cap = APT_OUTPUT_MAX};
    char codename[64], uri[512];
    struct err ignored;

    if (child_run(&c, &ignored) != 0 || buf_append(&out, "", 1) < 0)
        return strdup(DEFAULT_MIRROR);
    for (const char *at = (const char *)buf_data(&out); at; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (sscanf(at, "Debian main %63s %511s", codename, uri) == 2 && !strchr(codename, '-'))
            return strdup(uri);
    }
    return strdup(DEFAULT_MIRROR);
}

static bool apt_is_word(const char *s, const char *extra)
{
    if (!*s)
        return false;
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && !strchr(extra, *s))
            return false;
    return true;
}

static int apt_write_config(const struct apt *apt, int dir, struct err *err)
{
    const char *arch = vm_arch_debian_name(apt->arch);
    char text[APT_CONFIG_MAX];
    int n, r;

    /* The status file is empty: nothing is installed. Hooks and extra indexes of the host go. */
    n = snprintf(text, sizeof(text),
                 "#clear APT::Update;\n#clear APT::Architectures;\n#clear DPkg;\n"
                 "Dir \"%s\";\nDir::Etc \"etc\";\nDir::State \"state\";\nDir::Cache \"cache\";\n"
                 "Dir::State::status \"%s/status\";\n"
                 "APT::Architecture \"%s\";\nAPT::Architectures { \"%s\"; };\n"
                 "APT::Update::Error-Mode \"any\";\nAcquire::Languages \"none\";\n"
                 "Acquire::Retries \"1\";\nAPT::Get::AllowUnauthenticated \"false\";\n"
                 "Acquire::AllowInsecureRepositories \"false\";\n",
                 apt->root, apt->root, arch, arch);
    if (n >= (int)sizeof(text))
        return err_set(err, -ENAMETOOLONG, "directory %s: the name is too long", apt->root);
    r = file_write(dir, "apt.conf", text, (size_t)n, 0644, err);
    if (r < 0)
        return r;
    n = snprintf(text, sizeof(text), "deb [signed-by=%s target=Packages arch=%s] %s %s main\n",
                 DEBIAN_KEYRING, arch, apt->mirror, apt->suite);
    if (n >= (int)sizeof(text))
        return err_set(err, -ENAMETOOLONG, "mirror %.200s: the name is too long", apt->mirror);
    return file_write(dir, "etc/sources.list", text, (size_t)n, 0644, err);
}

static int apt_make_root(const struct apt *apt, struct err *err)
{
    static const char *const dirs[] = {"etc/apt.conf.d",
                                       "etc/preferences.d",
                                       "etc/sources.list.d",
                                       "etc/trusted.gpg.d",
                                       "state/lists/partial",
                                       "cache/archives/partial",
                                       "debs"};
    CLEANUP(fd) int dir = -1;
    char path[4096];
    int r;

    for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", apt->root, dirs[i]);
        r = file_make_dirs(path, 0755, err);
        if (r < 0)
            return r;
    }
    dir = open(apt->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_set(err, -errno, "directory %s: %s", apt->root, strerror(errno));
    r = file_write(dir, "status", "", 0, 0644, err);
    return r < 0 ? r : apt_write_config(apt, dir, err);
}

int apt_open(struct apt *apt, const char *suite, enum vm_arch arch, const char *mirror,
             const struct image_progress *progress, struct err *err)
{
    CLEANUP(free) char *base = NULL;
    int r = dirs_get_sub(DIRS_CACHE, "apt", &base, err);

    *apt = (struct apt){.suite = suite, .arch = arch, .progress = progress};
    if (r < 0)
        return r;
    if (!apt_is_word(suite, "-_."))
        return err_set(err, -EINVAL, "suite '%.60s': a Debian suite such as trixie is expected",
                       suite);
    if (access(DEBIAN_KEYRING, R_OK) < 0)
        return err_set(err, -EIO,
                       "Debian's keys are missing (%s): install the package "
                       "debian-archive-keyring",
                       DEBIAN_KEYRING);
    apt->mirror = mirror ? strdup(mirror) : apt_host_mirror();
    if (!apt->mirror ||
        asprintf(&apt->root, "%s/%s-%s", base, suite, vm_arch_debian_name(arch)) < 0 ||
        asprintf(&apt->config, "%s/apt.conf", apt->root) < 0 ||
        asprintf(&apt->debs, "%s/debs", apt->root) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    for (size_t len = strlen(apt->mirror); len && apt->mirror[len - 1] == '/'; len--)
        apt->mirror[len - 1] = '\0';
    if (!apt_is_word(apt->mirror, ":/.-_+~%@[]?=&"))
        return err_set(err, -EINVAL, "mirror '%.200s': an address such as %s is expected",
                       apt->mirror, DEFAULT_MIRROR);
    return apt_make_root(apt, err);
}

void apt_close(struct apt *apt)
{
    free(apt->root);
    free(apt->config);
    free(apt->debs);
    free(apt->mirror);
    *apt = (struct apt){0};
}

/* The index */

bool apt_has_index(const struct apt *apt)
{
    char path[4096];
    const struct dirent *e;
    bool found = false;
    DIR *dir;

    (void)snprintf(path, sizeof(path), "%s/state/lists", apt->root);
    dir = opendir(path);
    while (dir && !found && (e = readdir(dir)))
        found = strstr(e->d_name, "_Packages") != NULL;
    if (dir)
        (void)closedir(dir);
    return found;
}

int apt_update(struct apt *apt, struct err *err)
{
    const char *const argv[] = {"apt-get",          "-q",     "-c", apt->config, "-o",
                                "APT::Status-Fd=3", "update", NULL};
    struct child c = {.argv = argv, .status = apt_status, .arg = apt};
    char what[160];

    (void)snprintf(what, sizeof(what), "cannot fetch the package index of %s (%s)", apt->suite,
                   vm_arch_debian_name(apt->arch));
    apt_step(apt, "fetching the package index");
    return apt_run(apt, &c, what, err);
}

/* Finding */

/* The field's value in a paragraph of apt-cache show: up to `size` bytes of its line. */
static bool apt_field(const char *text, const char *field, char *value, size_t size)
{
    size_t len = strlen(field);

    for (const char *at = text; at; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, field, len) != 0 || strncmp(at + len, ": ", 2) != 0)
            continue;
        at += len + 2;
        return snprintf(value, size, "%.*s", (int)strcspn(at, "\n"), at) < (int)size;
    }
    return false;
}

static int apt_show(struct apt *apt, const char *name, struct buf *out, struct err *err)
{
    const char *const argv[] = {"apt-cache", "-c", apt->config, "--no-all-versions",
                                "show",      name, NULL};
    struct child c = {.argv = argv, .output = out, .output_cap = APT_OUTPUT_MAX};
    int r;

    if (!apt_is_word(name, "+-."))
        return err_set(err, -EINVAL, "package '%.100s': not the name of a package", name);
    r = child_run(&c, err);
    if (r == 0 && out->len && buf_append(out, "", 1) == 0)
        return 0;
    if (r == -ENOENT)
        return apt_run(apt, &c, "cannot make an image", err);
    if (!apt_has_index(apt))
        return err_set(err, -EIO, "Debian %s has no %s (mirror %s); choose another suite or --arch",
                       apt->suite, vm_arch_debian_name(apt->arch), apt->mirror);
    return err_set(err, -EIO, "package %s: not in Debian %s for %s (mirror %s)", name, apt->suite,
                   vm_arch_debian_name(apt->arch), apt->mirror);
}

static bool apt_fill(const char *text, struct apt_package *p)
{
    char path[512], size[32];
    const char *base;

    if (!apt_field(text, "Package", p->name, sizeof(p->name)) ||
        !apt_field(text, "Version", p->version, sizeof(p->version)) ||
        !apt_field(text, "Filename", path, sizeof(path)) ||
        !apt_field(text, "Size", size, sizeof(size)) ||
        !apt_field(text, "SHA256", p->sha256, sizeof(p->sha256)) || strlen(p->sha256) != 64)
        return false;
    p->size = strtoull(size, NULL, 10);
    base = strrchr(path, '/');
    base = base ? base + 1 : path;
    return *base && *base != '.' && strlen(base) < sizeof(p->file);
}

/* apt-get download names files NAME_VERSION_ARCH.deb with ':' quoted; the index leaves out the
 * epoch, so the name is made here. */
static bool apt_name_file(struct apt_package *p, const char *text)
{
    char arch[32], version[3 * sizeof(p->version)];
    size_t n = 0;

    if (!apt_field(text, "Architecture", arch, sizeof(arch)))
        return false;
    for (const char *v = p->version; *v; v++) {
        memcpy(version + n, *v == ':' ? "%3a" : v, *v == ':' ? 3 : 1);
        n += *v == ':' ? 3 : 1;
    }
    version[n] = '\0';
    return !strchr(version, '/') && snprintf(p->file, sizeof(p->file), "%s_%s_%s.deb", p->name,
                                             version, arch) < (int)sizeof(p->file);
}

/* linux-image-riscv64 depends on the kernel of the day, linux-image-6.12...-riscv64. */
static bool apt_real_kernel(const char *text, char *name, size_t size)
{
    static const char prefix[] = "linux-image-";
    char depends[4096], package[128];
    size_t len;

    if (!apt_field(text, "Package", package, sizeof(package)) ||
        strncmp(package, prefix, sizeof(prefix) - 1) != 0 ||
        !apt_field(text, "Depends", depends, sizeof(depends)) ||
        strncmp(depends, prefix, sizeof(prefix) - 1) != 0)
        return false;
    len = strcspn(depends, " ,(|");
    return snprintf(name, size, "%.*s", (int)len, depends) < (int)size;
}

int apt_find(struct apt *apt, const char *name, struct apt_package *ret, struct err *err)
{
    CLEANUP(buf) struct buf out = {0};
    char real[128];
    int r = apt_show(apt, name, &out, err);

    if (r == 0 && apt_real_kernel((const char *)buf_data(&out), real, sizeof(real))) {
        buf_consume(&out, out.len);
        r = apt_show(apt, real, &out, err);
    }
    if (r < 0)
        return r;
    *ret = (struct apt_package){0};
    if (!apt_fill((const char *)buf_data(&out), ret) ||
        !apt_name_file(ret, (const char *)buf_data(&out)))
        return err_set(err, -EIO, "package %s: the archive's index is not understood", name);
    return 0;
}

/* Solving */

/* "Inst NAME (VERSION ...)": as apt-cache and apt-get take it, "NAME=VERSION". */
static int apt_solved(const struct buf *out, char **ret_specs, unsigned *ret_count)
{
    char name[128], version[96];
    unsigned n = 0;

    for (const char *at = (const char *)buf_data(out); at && *at; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (sscanf(at, "Inst %127s (%95[^ )]", name, version) != 2)
            continue;
        if (n == APT_SOLVED_MAX)
            return -E2BIG;
        if (asprintf(&ret_specs[n], "%s=%s", name, version) < 0)
            return -ENOMEM;
        n++;
    }
    *ret_count = n;
    return 0;
}

/* Fills packages from the paragraphs of apt-cache show. */
static int apt_fill_all(const struct buf *out, struct apt_package *packages, unsigned room,
                        unsigned *ret_count)
{
    char *at = (char *)buf_data(out);
    unsigned n = 0;

    while (at && *at) {
        char *end = strstr(at, "\n\n");

        if (end)
            *end = '\0';
        if (n == room || !apt_fill(at, &packages[n]) || !apt_name_file(&packages[n], at))
            return -EIO;
        n++;
        at = end ? end + 2 : NULL;
        at += at ? strspn(at, "\n") : 0;
    }
    *ret_count = n;
    return 0;
}

static int apt_simulate(struct apt *apt, char *const *wanted, unsigned count, struct buf *out,
                        struct err *err)
{
    const char *const fixed[] = {"apt-get",
                                 "-q",
                                 "-y",
                                 "-s",
                                 "-c",
                                 apt->config,
                                 "-o",
                                 "Debug::NoLocking=true",
                                 "-o",
                                 "APT::Install-Recommends=false",
                                 "--allow-change-held-packages",
                                 "install",
                                 "--"};
    CLEANUP(free) const char **argv = calloc(ARRAY_LEN(fixed) + count + 1, sizeof(char *));
    struct child c = {.output = out, .output_cap = APT_OUTPUT_MAX};

    if (!argv)
        return err_set(err, -ENOMEM, "out of memory");
    memcpy(argv, fixed, sizeof(fixed));
    for (unsigned i = 0; i < count; i++)
        argv[ARRAY_LEN(fixed) + i] = wanted[i];
    c.argv = argv;
    return apt_run(apt, &c, "cannot choose packages", err);
}

static int apt_show_all(struct apt *apt, char *const *specs, unsigned count, struct buf *out,
                        struct err *err)
{
    const char *const fixed[] = {"apt-cache", "-c", apt->config, "show", "--"};
    CLEANUP(free) const char **argv = calloc(ARRAY_LEN(fixed) + count + 1, sizeof(char *));
    struct child c = {.output = out, .output_cap = APT_OUTPUT_MAX};

    if (!argv)
        return err_set(err, -ENOMEM, "out of memory");
    memcpy(argv, fixed, sizeof(fixed));
    for (unsigned i = 0; i < count; i++)
        argv[ARRAY_LEN(fixed) + i] = specs[i];
    c.argv = argv;
    return apt_run(apt, &c, "cannot look packages up", err);
}

int apt_solve(struct apt *apt, char *const *wanted, unsigned count,
              struct apt_package **ret_packages, unsigned *ret_count, struct err *err)
{
    CLEANUP(buf) struct buf plan = {0};
    CLEANUP(buf) struct buf shown = {0};
    CLEANUP(free) char **specs = calloc(APT_SOLVED_MAX, sizeof(char *));
    CLEANUP(free) struct apt_package *packages = NULL;
    unsigned n = 0, found = 0;
    int r = specs ? apt_simulate(apt, wanted, count, &plan, err) : -ENOMEM;

    if (r == 0 && (r = buf_append(&plan, "", 1)) == 0)
        r = apt_solved(&plan, specs, &n);
    if (r == 0)
        r = apt_show_all(apt, specs, n, &shown, err);
    packages = calloc((size_t)n + 1, sizeof(*packages));
    if (r == 0 && (!packages || buf_append(&shown, "", 1) < 0))
        r = -ENOMEM;
    if (r == 0 && (apt_fill_all(&shown, packages, n, &found) < 0 || found != n || !n))
        r = err_set(err, -EIO, "packages of %s: the archive's index is not understood", apt->suite);
    for (unsigned i = 0; specs && i < APT_SOLVED_MAX; i++)
        free(specs[i]);
    if (r == -ENOMEM || r == -E2BIG)
        return err_set(err, r, "packages of %s: %s", apt->suite, strerror(-r));
    if (r < 0)
        return r;
    *ret_packages = TAKE(packages);
    *ret_count = n;
    return 0;
}

/* Fetching */

char *apt_path(const struct apt *apt, const struct apt_package *package)
{
    char *path;

    return asprintf(&path, "%s/%s", apt->debs, package->file) < 0 ? NULL : path;
}

/* 1 when the package is there and right, 0 when it is absent or incomplete. One of full size that
 * is wrong is removed: apt would take it for done. */
static int apt_is_here(const struct apt *apt, const struct apt_package *p)
{
    CLEANUP(free) char *path = apt_path(apt, p);
    char sha256[DIGEST_TEXT];
    struct stat st;

    if (!path || stat(path, &st) < 0 || (uint64_t)st.st_size < p->size)
        return 0;
    if (digest_file(path, sha256) == 0 && strcmp(sha256, p->sha256) == 0)
        return 1;
    (void)unlink(path);
    return 0;
}

/* What a full disk cut short is in the way; elsewhere a part is kept and resumed. */
static void apt_drop(const struct apt *apt, const struct apt_package *p)
{
    CLEANUP(free) char *path = apt_path(apt, p);

    if (path && !apt_is_here(apt, p))
        (void)unlink(path);
}

struct apt_want {
    const struct apt_package *package[APT_SOLVED_MAX];
    unsigned count;
    uint64_t bytes;
};

static void apt_say_fetch(const struct apt *apt, const struct apt_want *w, char *what, size_t size)
{
    char step[200];

    if (w->count == 1)
        (void)snprintf(step, sizeof(step), "%s", w->package[0]->name);
    else
        (void)snprintf(step, sizeof(step), "%u packages", w->count);
    (void)snprintf(what, size, "cannot download %s", step);
    (void)snprintf(step + strlen(step), sizeof(step) - strlen(step), " (%.1f MB)",
                   (double)w->bytes / 1e6);
    if (apt->progress && apt->progress->step) {
        char text[240];

        (void)snprintf(text, sizeof(text), "downloading %s", step);
        apt_step(apt, text);
    }
}

static int apt_fetch(struct apt *apt, const struct apt_want *w, struct err *err)
{
    const char *const fixed[] = {"apt-get",          "-q",      "-c", apt->config, "-o",
                                 "APT::Status-Fd=3", "download"};
    CLEANUP(free) const char **argv = calloc(ARRAY_LEN(fixed) + w->count + 1, sizeof(char *));
    CLEANUP(free)
    char *specs =
        calloc(w->count, sizeof(w->package[0]->name) + sizeof(w->package[0]->version) + 2);
    struct child c = {.directory = apt->debs, .status = apt_status, .arg = apt};
    char what[240], *at = specs;
    int r;

    if (!argv || !specs)
        return err_set(err, -ENOMEM, "out of memory");
    memcpy(argv, fixed, sizeof(fixed));
    for (unsigned i = 0; i < w->count; i++) {
        argv[ARRAY_LEN(fixed) + i] = at;
        at += sprintf(at, "%s=%s", w->package[i]->name, w->package[i]->version) + 1;
    }
    c.argv = argv;
    apt_say_fetch(apt, w, what, sizeof(what));
    r = apt_run(apt, &c, what, err);
    for (unsigned i = 0; r == -ENOSPC && i < w->count; i++)
        apt_drop(apt, w->package[i]);
    for (unsigned i = 0; r == 0 && i < w->count; i++)
        if (!apt_is_here(apt, w->package[i]))
            r = err_set(err, -EIO,
                        "package %s: the download is damaged (its SHA-256 differs from the signed "
                        "index)",
                        w->package[i]->name);
    return r;
}

int apt_download(struct apt *apt, const struct apt_package *packages, unsigned count,
                 struct err *err)
{
    CLEANUP(free) struct apt_want *w = calloc(1, sizeof(*w));

    if (!w)
        return err_set(err, -ENOMEM, "out of memory");
    for (unsigned i = 0; i < count && w->count < APT_SOLVED_MAX; i++)
        if (!apt_is_here(apt, &packages[i])) {
            w->package[w->count++] = &packages[i];
            w->bytes += packages[i].size;
        }
    return w->count ? apt_fetch(apt, w, err) : 0;
}

/* Another version of a package that is listed: NAME_... */
static bool apt_is_superseded(const struct apt_package *packages, unsigned count, const char *file)
{
    bool other = false;

    for (unsigned i = 0; i < count; i++) {
        size_t len = strlen(packages[i].name);

        if (strcmp(packages[i].file, file) == 0)
            return false;
        other |= strncmp(packages[i].name, file, len) == 0 && file[len] == '_';
    }
    return other;
}

void apt_forget_older(struct apt *apt, const struct apt_package *packages, unsigned count)
{
    DIR *dir = opendir(apt->debs);
    const struct dirent *e;

    while (dir && (e = readdir(dir)))
        if (e->d_name[0] != '.' && apt_is_superseded(packages, count, e->d_name))
            (void)unlinkat(dirfd(dir), e->d_name, 0);
    if (dir)
        (void)closedir(dir);
}
