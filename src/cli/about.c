/* SPDX-License-Identifier: Apache-2.0 */
/* What posada(1) tells about the program as a whole: the one place where it is written. */
#include "cli/cli.h"

const char cli_about_posada[] =
    "Posada runs guests of any architecture behind one command, each in a process of its own. A\n"
    "guest is made from an image (run, create), has a name, and lives on without the command line\n"
    "that started it. There is no daemon: each guest has a keeper, which outlives it, and a\n"
    "monitor, which is sandboxed.\n"
    "\n"
    "Every listing takes --format: table, json (fields as documented in posada's docs/json.md) or\n"
    "a template, in which {name} stands for a field, as in --format '{name} {state}'. With -q "
    "only\n"
    "the first column is printed.\n"
    "\n"
    "Long options are never abbreviated. A word -- ends the options.";

const char cli_about_guestfile[] =
    "A guest file describes guests that belong together. posada up makes and starts them, in the\n"
    "order of depends_on; posada down stops and removes them in the opposite order.\n"
    "\n"
    "  version: 1\n"
    "  guests:\n"
    "    db:\n"
    "      image: tiny\n"
    "      command: [sleep, infinity]\n"
    "      memory: 512M\n"
    "      restart: on-failure\n"
    "    web:\n"
    "      image: tiny\n"
    "      command: [httpd, -f]\n"
    "      env: {GREETING: hello}\n"
    "      port: [\"8080:80\"]\n"
    "      depends_on: db\n"
    "\n"
    "The keys of a guest are the options of posada create and a few more; they mean what they "
    "mean\n"
    "there, and its name is the guest's. Relative paths count from the file's folder. An unknown "
    "key\n"
    "is an error, as is a key twice. Of YAML, anchors, aliases and tags are not used; a file has "
    "at\n"
    "most 256 KiB, 10000 values and 64 guests. version is 1 and must be there.";

const struct cli_about cli_about_exit[] = {
    {"0", "all went well"},
    {"1", "the operation failed; one sentence on standard error says why"},
    {"2", "the command line (or a guest file) is wrong"},
    {"3", "there is no such guest, image, file"},
    {"4", "it is not in a state for that: running already, exists already, in use"},
    {"5", "permission denied"},
    {"6", "this host cannot do it: no engine for the technique or architecture, no such feature"},
    {"7", "it took too long; the guest still exists and may yet get there"},
    {"8", "cancelled"},
    {"125",
     "run and exec: Posada itself failed, or the guest did before its command ended; also the exit "
     "code of a guest whose kernel panicked, whose firmware cannot run, whose process died"},
    {"126", "run and exec: the guest cannot invoke the command"},
    {"127", "run and exec: the guest has no such command"},
    {"128+N", "run, exec, wait: ended by signal N; any other code of theirs is the command's own"},
    {NULL, NULL},
};

const struct cli_about cli_about_environment[] = {
    {"POSADA_DATA_DIR", "where guests are kept; default /var/lib/posada for root, else "
                        "$XDG_DATA_HOME/posada or ~/.local/share/posada"},
    {"POSADA_RUN_DIR",
     "where control sockets are; default /run/posada for root, else $XDG_RUNTIME_DIR/posada"},
    {"POSADA_CACHE_DIR", "where images are; default /var/cache/posada for root, else "
                         "$XDG_CACHE_HOME/posada or ~/.cache/posada"},
    {"POSADA_ARCH", "architecture of machines without --arch"},
    {"POSADA_DETACH_KEYS", "keys that leave an attached guest; default ctrl-p,ctrl-q"},
    {"POSADA_DEBUG", "when set, tell what is done on standard error"},
    {NULL, NULL},
};

const struct cli_about cli_about_files[] = {
    {"DATA/guests/NAME/config.json", "a guest as it was described; fields in docs/json.md"},
    {"DATA/guests/NAME/state.json", "what its process last wrote about it"},
    {"DATA/guests/NAME/console.log, output.log", "what it printed: its kernel, its command"},
    {"DATA/guests/NAME/monitor.log", "what its process had to complain about"},
    {"RUN/guests/NAME/control", "the control socket of a running guest"},
    {NULL, NULL},
};
