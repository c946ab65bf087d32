/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 by OpenSSL. Contract: image/digest.h. */
#include "image/digest.h"

#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdbool.h>

struct digest {
    EVP_MD_CTX *context;
    bool failed;
};

struct digest *digest_new(void)
{
    struct digest *d = calloc(1, sizeof(*d));

    if (!d)
        return NULL;
    d->context = EVP_MD_CTX_new();
    d->failed = !d->context || !EVP_DigestInit_ex(d->context, EVP_sha256(), NULL);
    return d;
}

void digest_add(struct digest *d, const void *data, size_t len)
{
    if (!d->failed)
        d->failed = !EVP_DigestUpdate(d->context, data, len);
}

void digest_end(struct digest *d, char ret_text[DIGEST_TEXT])
{
    unsigned char raw[EVP_MAX_MD_SIZE] = {0};
    unsigned len = 0;

    if (!d->failed)
        d->failed = !EVP_DigestFinal_ex(d->context, raw, &len);
    for (size_t i = 0; i < 32; i++)
        (void)snprintf(ret_text + 2 * i, 3, "%02x", raw[i]);
    if (d->failed)
        ret_text[0] = '\0'; /* equal to no digest */
    EVP_MD_CTX_free(d->context);
    free(d);
}

int digest_file(const char *path, char ret_text[DIGEST_TEXT])
{
    CLEANUP(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    CLEANUP(free) char *data = malloc(1 << 16);
    struct digest *d;
    ssize_t n;

    if (fd < 0)
        return -errno;
    d = data ? digest_new() : NULL;
    if (!d)
        return -ENOMEM;
    while ((n = read(fd, data, 1 << 16)) > 0)
        digest_add(d, data, (size_t)n);
    digest_end(d, ret_text);
    return n < 0 ? -errno : *ret_text ? 0 : -EIO;
}
