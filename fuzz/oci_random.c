/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_oci_random SEED ROUNDS: mutations of a rich configuration under any compiler. */
#include "input.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char seed_text[] =
    "{\"ociVersion\":\"1.0.0\",\"process\":{\"args\":[\"a\"],\"cwd\":\"/"
    "\",\"user\":{\"uid\":1,\"additionalGids\":[2]},"
    "\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"soft\":1,\"hard\":2}],\"capabilities\":{"
    "\"bounding\":[\"CAP_KILL\"]},"
    "\"scheduler\":{\"policy\":\"SCHED_DEADLINE\",\"runtime\":2000,\"deadline\":3000}},\"root\":{"
    "\"path\":\"r\"},"
    "\"mounts\":[{\"destination\":\"/"
    "m\",\"source\":\"s\",\"options\":[\"rbind\",\"idmap=uids=0-1-2;gids=0-1-2\",\"x\"]}],"
    "\"hooks\":{\"prestart\":[{\"path\":\"/"
    "h\",\"timeout\":1}]},\"annotations\":{\"a\":\"\\u00e9\\ud83d\\ude00\"},"
    "\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"user\"}],\"uidMappings\":[{"
    "\"containerID\":0,\"hostID\":1,"
    "\"size\":2}],\"gidMappings\":[{\"containerID\":0,\"hostID\":1,\"size\":2}],\"devices\":[{"
    "\"path\":\"/d\",\"type\":\"c\"}],"
    "\"resources\":{\"memory\":{\"limit\":1},\"devices\":[{\"allow\":true,\"type\":\"c\",\"major\":"
    "1}],\"unified\":{\"a.b\":\"1\"}},"
    "\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"mkdir\"],"
    "\"action\":\"SCMP_ACT_ERRNO\","
    "\"args\":[{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_EQ\"}]}]},\"memoryPolicy\":{\"mode\":"
    "\"MPOL_BIND\",\"nodes\":\"0-1\"},"
    "\"sysctl\":{\"net.a\":\"1\"}}}";

static uint64_t next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

static size_t mutate(char *text, size_t len, uint64_t *state)
{
    static const char letters[] = "{}[]\",:\\u0-9eE.truefalsn\xff\x80 \n";
    unsigned count = 1 + (unsigned)(next(state) % 6);

    while (count-- && len) {
        size_t at = next(state) % len;

        switch (next(state) % 4) {
        case 0: text[at] = letters[next(state) % (sizeof(letters) - 1)]; break;
        case 1: text[at] = (char)next(state); break;
        case 2: /* drop a piece */
            memmove(text + at, text + at + (len - at) / 8, len - at - (len - at) / 8);
            len -= (len - at) / 8;
            break;
        default: len -= next(state) % 3 ? 0 : next(state) % len; break;
        }
    }
    return len;
}

int main(int argc, char **argv)
{
    uint64_t state = argc > 1 ? strtoull(argv[1], NULL, 10) * 2654435761u + 1 : 1;
    unsigned long rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000;

    for (unsigned long i = 0; i < rounds; i++) {
        char text[sizeof(seed_text)];

        memcpy(text, seed_text, sizeof(seed_text));
        (void)LLVMFuzzerTestOneInput((uint8_t *)text,
                                     i ? mutate(text, sizeof(text) - 1, &state) : sizeof(text) - 1);
    }
    printf("%lu configurations\n", rounds);
    return 0;
}
