/* SPDX-License-Identifier: Apache-2.0 */
/* Contract: ctr/enter.h. */
#include "ctr/enter.h"

#include "copy/copy.h"
#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What touching files needs: their owners, their modes, whatever the modes say. */
#define ENTER_CAPS                                                                                 \
    (UINT64_C(1) << CAP_CHOWN | UINT64_C(1) << CAP_DAC_OVERRIDE | UINT64_C(1) << CAP_FOWNER |      \
     UINT64_C(1) << CAP_FSETID)

static int enter_failed(const char *what)
{
    (void)fprintf(stderr, "posada: the container's root: %s: %s\n", what, strerror(errno));
    return EXIT_FAILED;
}

static int enter_drop(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}};

    for (int i = 0; i <= CAP_LAST_CAP; i++)
        (void)prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
    data[0].effective = data[0].permitted = (uint32_t)ENTER_CAPS;
    if (syscall(SYS_capset, &head, data) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    return 0;
}

int ctr_copy_main(char *const *words, unsigned count)
{
    int fd = count < 3 ? -1 : pidfd_open((pid_t)strtol(words[0], NULL, 10), 0);

    if (fd < 0)
        return enter_failed("its process");
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || setns(fd, CLONE_NEWNS) < 0 || chdir("/") < 0)
        return enter_failed("enter it");
    (void)close(fd);
    (void)umask(022);
    return enter_drop() < 0 ? enter_failed("give rights away") : copy_command(words + 1);
}
