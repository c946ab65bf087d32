/* SPDX-License-Identifier: Apache-2.0 */
/* The options of run, checked and made into a guest's configuration. */
#include "cli/run.h"

#include "cli/cli.h"
#include "host/sandbox.h"
#include "vm/config.h"
#include "vm/firmware.h"
#include "vm/restart.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

enum { MEMORY_DEFAULT = 1 << 30, MEMORY_STEP = 1 << 20, DISK_SIZE_MAX_GIB = 16384 };

/* The options of a guest: of run and create, and the keys of a guest file. */
const struct cli_option run_guest_options[] = {
    {"name", 0, "NAME", "its name (default: one is made up)", CLI_NO_FILE},
    {"arch", 0, "ARCH",
     "riscv64, arm64 or amd64 (default: as kernel, firmware or image are, else the host's own if "
     "an engine "
     "runs it, else riscv64)"},
    {"cpu-model", 0, "MODEL", "amd64: host, x86-64-v1 to -v4, with ,+FEATURE,-FEATURE"},
    {"technique", 0, "TECHNIQUE", "auto, emulate, full, hardware, para or container"},
    {"engine", 0, "NAME", "interp or jit, as doctor lists them (default: the technique's first)"},
    RUN_SIZE_OPTIONS,
    RUN_RESTART_OPTION,
    RUN_COMMAND_OPTIONS,
    {"disk", 0, "PATH[,format=F][,ro][,cache=MODE]...",
     "attach a disk image, raw or qcow2; repeatable", CLI_REPEAT},
    {"volume", 'v', "HOST:GUEST[:ro]", "share a folder of this host with the guest; repeatable",
     CLI_REPEAT},
    {"disk-size", 0, "SIZE",
     "size of the disk that an image gives (default: the image's, 8G at least)"},
    {"net", 0, "NETWORK",
     "user, none, a name (shared with guests), or tap:IFNAME[,BRIDGE]; repeatable", CLI_REPEAT},
    RUN_RATE_OPTION,
    {"port", 'p', "[IP:]HOST:GUEST[/udp]",
     "forward a port of this host, or a range (80-89:80-89); repeatable", CLI_REPEAT},
    {"vsock", 0, "PATH[,cid=N]", "a vsock by this Unix socket; the guest's programs: PATH_PORT"},
    {"kernel", 0, "FILE", "boot this kernel instead of an image's"},
    {"initrd", 0, "FILE", "with this initial RAM disk"},
    {"append", 0, "TEXT", "and this command line"},
    {"firmware", 0, "bios|uefi|FILE",
     "start this firmware: amd64 from a disk, riscv64 before the kernel"},
    {"tohost", 0, NULL, "the kernel is a test program that reports by 'tohost'", CLI_NO_FILE},
    {"sandbox", 0, "LEVEL", "strict (nothing may be missing) or thin (whatever this host offers)"},
    {"gdb", 0, "PORT", "wait for gdb on this TCP port of localhost", CLI_NO_FILE},
    {"trace", 0, "FILE[:CLASSES]", "record insn,mem,irq,mmio,mmu,block for tracecat", CLI_NO_FILE},
    {"perf-map", 0, NULL, "let perf name translated code (/tmp/perf-PID.map)", CLI_NO_FILE},
    {"symbols", 0, "FILE", "with names of guest functions from this vmlinux or System.map",
     CLI_NO_FILE},
    CLI_OPTIONS_END,
};

int run_exit_code(int code)
{
    return code == EXIT_FAILED ? EXIT_RUN_FAILED : code;
}

static int option_text(const struct cli_args *args, const char *name, char **ret, struct err *err)
{
    const char *value = cli_value(args, name);

    if (!value)
        return 0;
    *ret = strdup(value);
    return *ret ? 0 : err_set(err, -ENOMEM, "out of memory");
}

int run_file(const char *what, const char *path, char **ret, struct err *err)
{
    *ret = realpath(path, NULL);
    if (!*ret)
        return err_set(err, -errno, "%s %s: %s", what, path, strerror(errno));
    if (access(*ret, R_OK) < 0)
        return err_set(err, -errno, "%s %s: %s", what, path, strerror(errno));
    return 0;
}

static int option_file_named(const struct cli_args *args, const char *name, char **ret,
                             struct err *err)
{
    const char *path = cli_value(args, name);

    return path ? run_file(name, path, ret, err) : 0;
}

/* --- the command --- */

static int env_add(char **env, unsigned at, const char *setting, struct err *err)
{
    const char *mine = strchr(setting, '=') ? NULL : getenv(setting);
    int n;

    if (!*setting || *setting == '=')
        return err_set(err, -EINVAL, "--env '%s': expected KEY=VALUE or KEY", setting);
    if (!mine && !strchr(setting, '='))
        return 0; /* KEY alone, and we have none: the guest gets none */
    n = mine ? asprintf(&env[at], "%s=%s", setting, mine) : asprintf(&env[at], "%s", setting);
    return n < 0 ? err_set(err, -ENOMEM, "out of memory") : 0;
}

static int option_env(const struct cli_args *args, char ***ret, struct err *err)
{
    unsigned count = 0, used = 0;
    char **env;
    int r = 0;

    while (cli_nth(args, "env", count))
        count++;
    env = calloc(count + 2, sizeof(*env));
    if (!env)
        return err_set(err, -ENOMEM, "out of memory");
    /* Programs draw for the terminal that is really there; -e TERM=... stands behind and wins. */
    if (isatty(STDIN_FILENO))
        r = env_add(env, used, "TERM", err);
    used += env[0] != NULL;
    for (unsigned i = 0; !r && i < count; i++) {
        r = env_add(env, used, cli_nth(args, "env", i), err);
        used += env[used] != NULL;
    }
    *ret = env;
    return r;
}

/* Nobody's terminal is the guest's: run -d, create. */
static bool run_is_detached(const struct cli_args *args)
{
    if (!strcmp(args->verb->name, "run") || !strcmp(args->verb->name, "exec"))
        return cli_has(args, "detach");
    return true;
}

int run_command_options(const struct cli_args *args, struct vm_config *config, struct err *err)
{
    int r = option_env(args, &config->env, err);

    if (!r)
        r = option_text(args, "user", &config->user, err);
    if (!r)
        r = option_text(args, "workdir", &config->workdir, err);
    config->tty = cli_has(args, "tty");
    config->open_stdin = cli_has(args, "interactive");
    if (!r && config->tty && !isatty(STDIN_FILENO) && !run_is_detached(args))
        r = err_set(err, -EINVAL, "--tty: standard input is no terminal");
    return r;
}

/* --- the machine --- */

static int option_memory(const struct cli_args *args, struct vm_config *config, struct err *err)
{
    const char *text = cli_value(args, "memory");
    uint64_t host, wanted = config->memory;
    struct sysinfo info;

    if (text && cli_parse_size("--memory", text, &wanted, err) < 0)
        return err->code;
    if (!wanted && (text || config->technique != TECHNIQUE_CONTAINER))
        return err_set(err, -EINVAL, "--memory 0: a guest needs memory; try 512M");
    sysinfo(&info);
    host = (uint64_t)info.totalram * info.mem_unit;
    if (text && wanted > host)
        return err_set(err, -EINVAL, "--memory %s: this host has only %llu MiB", text,
                       (unsigned long long)(host >> 20));
    config->memory = (wanted + MEMORY_STEP - 1) & ~(uint64_t)(MEMORY_STEP - 1);
    return 0;
}

static int option_count(const struct cli_args *args, const char *name, unsigned max, unsigned *ret,
                        struct err *err)
{
    const char *text = cli_value(args, name);
    char what[32];
    uint64_t v = *ret;

    snprintf(what, sizeof(what), "--%s", name);
    if (text && cli_parse_number(what, text, 1, max, &v, err) < 0)
        return err->code;
    *ret = (unsigned)v;
    return 0;
}

int run_size_options(const struct cli_args *args, struct vm_config *config, struct err *err)
{
    int r = option_memory(args, config, err);

    if (!r && config->technique == TECHNIQUE_CONTAINER)
        return run_container_sizes(args, config, err);
    if (!r && cli_has(args, "pids"))
        r = err_set(err, -EINVAL,
                    "--pids: a virtual machine counts its own processes; this is for "
                    "--technique container");
    if (!r && (cli_has(args, "memory-reservation") || cli_has(args, "memory-high")))
        r = err_set(err, -EINVAL,
                    "--memory-reservation, --memory-high: a virtual machine has its memory from "
                    "the start; these are for --technique container");
    return r ? r : option_count(args, "cpus", VM_CPUS_MAX, &config->cpus, err);
}

int run_restart_option(const struct cli_args *args, struct vm_config *config, struct err *err)
{
    const char *text = cli_value(args, "restart");
    struct restart_policy policy;
    int r = restart_parse(text, &policy, err);

    if (r < 0 || !text)
        return r;
    free(config->restart);
    config->restart = policy.when == RESTART_NO ? NULL : strdup(text);
    return 0;
}

static int option_arch(const struct cli_args *args, struct vm_config *config, struct err *err)
{
    const char *technique = cli_value(args, "technique");
    const char *engine = cli_value(args, "engine"), *model = cli_value(args, "cpu-model");
    int v = technique ? vm_technique_parse(technique) : TECHNIQUE_AUTO;

    if (v < 0)
        return err_set(
            err, -EINVAL,
            "--technique '%s': expected auto, emulate, full, hardware, para or container",
            technique);
    config->technique = (enum vm_technique)v;
    snprintf(config->engine, sizeof(config->engine), "%s", engine ? engine : "");
    if (model && strlen(model) >= sizeof(config->cpu_model))
        return err_set(err, -EINVAL, "--cpu-model '%s': at most %zu characters", model,
                       sizeof(config->cpu_model) - 1);
    snprintf(config->cpu_model, sizeof(config->cpu_model), "%s", model ? model : "");
    return run_find_arch(args, config, err);
}

/* The guest's process lives in another directory than we do. */
static int option_trace(const struct cli_args *args, struct vm_config *config, struct err *err)
{
    const char *text = cli_value(args, "trace");
    char *here = NULL;
    int n;

    if (!text)
        return 0;
    if (*text == ':' || !*text)
        return err_set(err, -EINVAL, "--trace '%s': expected FILE or FILE:CLASSES", text);
    if (*text != '/' && !(here = getcwd(NULL, 0)))
        return err_set(err, -errno, "--trace %s: %s", text, strerror(errno));
    n = asprintf(&config->trace, "%s%s%s", here ? here : "", here ? "/" : "", text);
    free(here);
    return n < 0 ? err_set(err, -ENOMEM, "out of memory") : 0;
}

/* A name is found when the guest starts, a file is there now. */
static int option_firmware(const struct cli_args *args, struct vm_config *config, struct err *err)
{
    const char *text = cli_value(args, "firmware");

    return text && firmware_is_name(text)
               ? option_text(args, "firmware", &config->firmware, err)
               : option_file_named(args, "firmware", &config->firmware, err);
}

static int option_boot(const struct cli_args *args, struct vm_config *config, struct err *err)
{
    int r = option_file_named(args, "kernel", &config->kernel, err);

    if (!r)
        r = option_file_named(args, "initrd", &config->initrd, err);
    if (!r)
        r = option_firmware(args, config, err);
    if (!r)
        r = option_text(args, "append", &config->append, err);
    if (!r)
        r = option_trace(args, config, err);
    if (!r)
        r = option_file_named(args, "symbols", &config->symbols, err);
    config->perf_map = cli_has(args, "perf-map") || config->symbols;
    config->tohost = cli_has(args, "tohost");
    if (!r && config->tohost && !config->kernel)
        r = err_set(err, -EINVAL, "--tohost: needs --kernel with a test program");
    return r;
}

/* With --kernel nothing but a command follows; else the first operand is the image, which firmware
 * may do without (it brings its own payload). */
static int option_operands(const struct cli_args *args, struct vm_config *config, struct err *err)
{
    bool given = config->kernel || (config->firmware && !args->operand_count);
    unsigned skip = given ? 0 : 1;

    if (!given && !args->operand_count)
        return err_set(err, -EINVAL,
                       "run: which image? Give its name (posada image ls), "
                       "or --kernel FILE");
    if (!given)
        config->image = strdup(args->operands[0]);
    if (args->operand_count > skip &&
        vm_strings_copy(args->operands + skip, args->operand_count - skip, &config->command) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    return 0;
}

static int option_disk_size(const struct cli_args *args, struct vm_config *config, struct err *err)
{
    const char *text = cli_value(args, "disk-size");

    if (!text)
        return 0;
    if (cli_parse_size("--disk-size", text, &config->disk_size, err) < 0)
        return err->code;
    if (!config->disk_size)
        return err_set(err, -EINVAL, "--disk-size %s: a disk has a size", text);
    if (config->disk_size > (uint64_t)DISK_SIZE_MAX_GIB << 30)
        return err_set(err, -EINVAL, "--disk-size %s: at most %dG", text, DISK_SIZE_MAX_GIB);
    return 0;
}

static int option_sandbox(const struct cli_args *args, struct vm_config *config, struct err *err)
{
    const char *text = cli_value(args, "sandbox");
    enum sandbox_level level;

    if (sandbox_level_parse(text, &level) < 0)
        return err_set(err, -EINVAL, "--sandbox '%.40s': expected strict or thin", text);
    return option_text(args, "sandbox", &config->sandbox, err);
}

int run_options(const struct cli_args *args, struct vm_config *config, struct err *err)
{
    const char *name = cli_value(args, "name");
    int r = name ? vm_name_check(name, err) : 0;

    if (!r && name)
        strcpy(config->name, name);
    if (!r)
        r = run_command_options(args, config, err);
    if (!r)
        r = option_arch(args, config, err);
    if (!r && config->technique == TECHNIQUE_AUTO)
        run_auto_container(args, config);
    if (!r && config->technique == TECHNIQUE_CONTAINER)
        r = run_check_container(args, config, err);
    if (config->technique != TECHNIQUE_CONTAINER) { /* which has what the host has */
        config->memory = MEMORY_DEFAULT;
        config->cpus = 1;
    }
    if (!r)
        r = run_size_options(args, config, err);
    if (!r && config->technique == TECHNIQUE_CONTAINER)
        r = run_check_limits(config, err);
    if (!r)
        r = run_restart_option(args, config, err);
    if (!r)
        r = option_count(args, "gdb", UINT16_MAX, &config->gdb_port, err);
    if (!r)
        r = option_boot(args, config, err);
    if (!r)
        r = option_disk_size(args, config, err);
    if (!r)
        r = run_disk_options(args, config, err);
    if (!r)
        r = option_operands(args, config, err);
    if (!r)
        r = option_sandbox(args, config, err);
    if (!r)
        r = run_net_options(args, config, err);
    if (!r)
        r = run_share_options(args, config, err);
    return r;
}
