/* SPDX-License-Identifier: Apache-2.0 */
#include "net/slirp.h"

#include <dlfcn.h>
#include <errno.h>

#define SLIRP_LIBRARY "libslirp.so.0"

static bool slirp_find(void *library, const char *name, void *ret_function)
{
    void *symbol = dlsym(library, name);

    *(void **)ret_function = symbol; /* POSIX: a function's address fits */
    return symbol;
}

int slirp_load(struct slirp_api *ret_api, struct err *err)
{
    void *library = dlopen(SLIRP_LIBRARY, RTLD_NOW | RTLD_LOCAL);

    if (!library)
        return err_set(err, -ENOENT,
                       "network 'user': %s is missing; install the package libslirp0, or use "
                       "--net none",
                       SLIRP_LIBRARY);
    if (!slirp_find(library, "slirp_new", &ret_api->new) ||
        !slirp_find(library, "slirp_pollfds_fill", &ret_api->fill) ||
        !slirp_find(library, "slirp_pollfds_poll", &ret_api->poll) ||
        !slirp_find(library, "slirp_input", &ret_api->input) ||
        !slirp_find(library, "slirp_add_hostxfwd", &ret_api->add_forward) ||
        !slirp_find(library, "slirp_remove_hostxfwd", &ret_api->remove_forward))
        return err_set(err, -EOPNOTSUPP, "network 'user': this %s is too old; 4.7 is needed",
                       SLIRP_LIBRARY);
    return 0; /* stays loaded */
}
