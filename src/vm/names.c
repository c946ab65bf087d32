/* SPDX-License-Identifier: Apache-2.0 */
/* Generated names: a quality and a traveller, easy to read aloud and to type. */
#include "vm/names.h"

#include <stdio.h>
#include <sys/random.h>

static const char *const names_first[] = {
    "amber",  "brave", "bright", "calm",  "clever", "cosy",  "early", "fair",
    "gentle", "glad",  "golden", "happy", "humble", "jolly", "kind",  "late",
    "lively", "lucky", "merry",  "mild",  "noble",  "plain", "proud", "quick",
    "quiet",  "rosy",  "silver", "sunny", "tidy",   "warm",  "wise",  "young",
};
static const char *const names_second[] = {
    "badger", "beaver", "crane", "deer",   "dove",    "falcon", "finch", "fox",
    "gecko",  "goose",  "hare",  "heron",  "horse",   "ibis",   "lark",  "lynx",
    "marten", "mole",   "moose", "mule",   "newt",    "otter",  "owl",   "pilgrim",
    "puffin", "raven",  "robin", "salmon", "sparrow", "stork",  "swan",  "wren",
};

void names_generate(char ret_name[VM_NAME_MAX + 1], bool numbered)
{
    uint16_t r[3] = {0};

    (void)!getrandom(r, sizeof(r), 0);
    snprintf(ret_name, VM_NAME_MAX + 1, "%s-%s", names_first[r[0] % ARRAY_LEN(names_first)],
             names_second[r[1] % ARRAY_LEN(names_second)]);
    if (numbered) {
        char plain[32];

        snprintf(plain, sizeof(plain), "%s", ret_name);
        snprintf(ret_name, VM_NAME_MAX + 1, "%s-%u", plain, r[2]);
    }
}
