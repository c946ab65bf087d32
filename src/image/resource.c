/* SPDX-License-Identifier: Apache-2.0 */
/* Files that come with the program. Contract: image/resource.h. */
#include "image/resource.h"

#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char *resource_try(const char *base, const char *folder, const char *name)
{
    char *path;

    if (asprintf(&path, "%s/%s%s%s", base, folder, name ? "/" : "", name ? name : "") < 0)
        return NULL;
    if (access(path, R_OK) == 0)
        return path;
    free(path);
    return NULL;
}

char *resource_find(enum resource_kind kind, const char *name)
{
    static const char *const built[] = {"share/recipes", "guest"};
    static const char *const installed[] = {"../share/posada/recipes", "../lib/posada/guest"};
    const char *base = getenv("POSADA_RESOURCE_DIR");
    char exe[PATH_MAX];
    char *found;
    ssize_t n;

    if (base)
        return resource_try(base, built[kind], name);
    n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    if (n <= 0)
        return NULL;
    exe[n] = '\0';
    base = dirname(exe);
    found = resource_try(base, built[kind], name);
    return found ? found : resource_try(base, installed[kind], name);
}
