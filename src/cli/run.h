/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by run and exec: what surrounds a command in a guest. */
#pragma once

#include "cli/cli.h"
#include <posada/vm.h>

extern const struct cli_option run_guest_options[];

#define RUN_COMMAND_OPTIONS                                                                        \
    {"interactive", 'i', NULL, "pass standard input to the command"},                              \
        {"tty", 't', NULL, "give the command a terminal"},                                         \
        {"env", 'e', "KEY=VALUE", "set an environment variable; KEY alone copies yours",           \
         CLI_REPEAT},                                                                              \
        {"user", 'u', "USER", "run the command as this user of the guest"},                        \
    {                                                                                              \
        "workdir", 'w', "DIR", "run the command in this directory of the guest"                    \
    }

#define RUN_SIZE_OPTIONS                                                                           \
    {"memory", 'm', "SIZE", "memory, such as 512M or 2G (default: 1G; a container: the host's)"},  \
        {"memory-reservation", 0, "SIZE",                                                          \
         "a container: what is taken from it last when memory is short; 0: nothing"},              \
        {"memory-high", 0, "SIZE|auto",                                                            \
         "a container: what it has above is taken back first; auto: by pressure; 0: no mark"},     \
        {"cpus", 0, "N", "number of processors (default: 1); a container: such as 0.5"},           \
    {                                                                                              \
        "pids", 0, "N", "a container: at most so many processes and threads"                       \
    }
#define RUN_RATE_OPTION                                                                            \
    {                                                                                              \
        "net-rate", 0, "RATE[:RATE]",                                                              \
            "bits a second to and from the guest, on each network: 10M, 1G:50M; 0: no limit"       \
    }
#define RUN_RESTART_OPTION                                                                         \
    {                                                                                              \
        "restart", 0, "no|on-failure[:N]|always|unless-stopped",                                   \
            "start it again when it ends (default: no)"                                            \
    }

/* Read these; an option that is not given changes nothing. */
int must_use run_size_options(const struct cli_args *args, struct vm_config *config,
                              struct err *err);
int must_use run_rate_option(const struct cli_args *args, struct vm_config *config,
                             struct err *err);
int must_use run_restart_option(const struct cli_args *args, struct vm_config *config,
                                struct err *err);
/* Reads RUN_COMMAND_OPTIONS into config. */
int must_use run_command_options(const struct cli_args *args, struct vm_config *config,
                                 struct err *err);
/* Reads all options of run; operands: IMAGE and command. */
int must_use run_options(const struct cli_args *args, struct vm_config *config, struct err *err);
/* Options, engine, image: all of a guest but its name and what run adds. */
int must_use run_configure(const struct cli_args *args, struct vm_config *config, struct err *err);
/* Reads --net and --port; the image must be known. */
int must_use run_net_options(const struct cli_args *args, struct vm_config *config,
                             struct err *err);
/* Reads --disk. */
int must_use run_disk_options(const struct cli_args *args, struct vm_config *config,
                              struct err *err);
/* A file the guest's process will open: by its absolute path, because that process lives in /.
 * what: the option. *ret is the caller's. */
int must_use run_file(const char *what, const char *path, char **ret, struct err *err);
/* Reads --volume. */
int must_use run_share_options(const struct cli_args *args, struct vm_config *config,
                               struct err *err);
/* Makes an OCI image into the root and process of a container (run_container.c). */
struct image_progress;
struct image;
int must_use run_take_container(struct vm_config *config, struct image *image,
                                const struct image_progress *progress, struct err *err);
/* Entrypoint, command, environment, user and directory of an OCI image, what the user gave first.
 */
int must_use run_take_process(struct vm_config *config, struct image *image, struct err *err);
/* Whether `auto` means container: an image of this host's architecture that no engine here runs.
 * Says so, and sets architecture and technique. */
void run_auto_container(const struct cli_args *args, struct vm_config *config);
/* Refuses options that only a virtual machine has. */
int must_use run_check_container(const struct cli_args *args, const struct vm_config *config,
                                 struct err *err);
/* --cpus, --pids and the marks of memory of a container. */
int must_use run_container_sizes(const struct cli_args *args, struct vm_config *config,
                                 struct err *err);
/* Refuses limits of a container that a monitor started from here would have no groups for. */
int must_use run_check_limits(const struct vm_config *config, struct err *err);
/* The architecture of this host. */
enum vm_arch run_host_arch(void);
/* Of guests that nothing is known of: $POSADA_ARCH, or the host's own where an engine here runs
 * that, else riscv64. */
int must_use run_usual_arch(enum vm_arch *ret, struct err *err);
/* Reads --arch, or finds out; technique and engine must be known. */
int must_use run_find_arch(const struct cli_args *args, struct vm_config *config, struct err *err);
/* Puts these before the environment that config has, whose values win; NULL is fine. */
int must_use run_env_below(struct vm_config *config, char *const *env, struct err *err);
/* Refuses what no engine here can run, with what can be done instead. */
int must_use run_check_engine(const struct vm_config *config, struct err *err);
/* Makes an image's name into kernel, initrd, command line, disks and command, building it first if
 * need be. ret_has_console: its own init lets one log in on the console; may be NULL. */
int must_use run_resolve_image(struct vm_config *config, bool *ret_has_console, struct err *err);
/* Fetches an OCI image (image_take.c). name NULL: as it is called there. plain: without TLS. */
int must_use run_pull_image(const char *reference, const char *name, enum vm_arch arch, bool plain,
                            const struct image_progress *progress, struct image *ret_image,
                            struct err *err);

/* Exit codes of run and exec: a plain failure of Posada's own becomes 125. */
int run_exit_code(int code);
