/* SPDX-License-Identifier: Apache-2.0 */
/* The disk formats Posada knows, by name. */
#include "block.h"

#include "raw.h"

#include <errno.h>
#include <string.h>

int blockdev_open(const char *format, const char *path, bool read_only, const char *name,
                  struct loop *loop, struct blockdev **ret_dev, struct err *err)
{
    if (!format || !*format)
        return err_set(err, -EINVAL,
                       "disk '%s': the format of %s is not given and never guessed; say raw", name,
                       path);
    if (strcmp(format, "raw") != 0)
        return err_set(err, -EINVAL, "disk '%s': format '%s' is not known; formats: raw", name,
                       format);
    return raw_open(path, read_only, name, loop, ret_dev, err);
}

void blockdev_close(struct blockdev *dev)
{
    if (dev)
        dev->ops->close(dev);
}
