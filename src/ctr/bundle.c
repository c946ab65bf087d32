/* SPDX-License-Identifier: Apache-2.0 */
/* A container's configuration. Contract: ctr/bundle.h; runtime-spec config.md, config-linux.md. */
#include "ctr/bundle.h"

#include "ctr/profile.h"
#include <stdio.h>
#include <string.h>

enum { CPU_PERIOD_US = 100000, CPU_QUOTA_MIN_US = 1000 };

#define BUNDLE_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* --- the process --- */

/* Of two settings of one name the later counts; getenv() takes the first. */
static void env_set(json_t *env, const char *setting)
{
    size_t name = strcspn(setting, "=") + 1, i;
    const json_t *old;

    json_array_foreach(env, i, old)
    {
        if (strncmp(json_string_value(old), setting, name))
            continue;
        json_array_set_new(env, i, json_string(setting));
        return;
    }
    json_array_append_new(env, json_string(setting));
}

static void env_set_all(json_t *env, char *const *settings)
{
    for (; settings && *settings; settings++)
        if (strchr(*settings, '='))
            env_set(env, *settings);
}

static json_t *bundle_env(const struct vm_config *config, const struct vm_config *wanted,
                          const struct ctr_user *user)
{
    char home[CTR_HOME_MAX + 8], host[VM_NAME_MAX + 16];
    json_t *env = json_array();

    (void)snprintf(home, sizeof(home), "HOME=%s", user->home);
    (void)snprintf(host, sizeof(host), "HOSTNAME=%s", config->name);
    env_set(env, BUNDLE_PATH);
    env_set(env, host);
    env_set(env, home);
    if (wanted->tty)
        env_set(env, "TERM=xterm");
    env_set_all(env, config->env);
    if (wanted != config)
        env_set_all(env, wanted->env);
    return env;
}

static json_t *bundle_user(const struct ctr_user *user)
{
    json_t *groups = json_array();

    for (unsigned i = 0; i < user->group_count; i++)
        json_array_append_new(groups, json_integer(user->groups[i]));
    return json_pack("{s:I, s:I, s:i, s:o}", "uid", (json_int_t)user->uid, "gid",
                     (json_int_t)user->gid, "umask", 022, "additionalGids", groups);
}

json_t *ctr_bundle_process(const struct vm_config *config, const struct vm_config *wanted,
                           const struct ctr_user *user)
{
    const char *cwd = wanted->workdir ? wanted->workdir : config->workdir;

    return json_pack(
        "{s:b, s:o, s:o, s:o, s:s, s:o, s:b}", "terminal", wanted->tty, "user", bundle_user(user),
        "args", ctr_json_texts((const char *const *)wanted->command), "env",
        bundle_env(config, wanted, user), "cwd", cwd && *cwd == '/' ? cwd : "/", "capabilities",
        ctr_profile_capabilities(user->uid == 0), "noNewPrivileges", false);
}

/* --- mounts --- */

static void mount_add(json_t *mounts, const char *at, const char *type, const char *source,
                      const char *const *options)
{
    json_array_append_new(mounts, json_pack("{s:s, s:s, s:s, s:o}", "destination", at, "type", type,
                                            "source", source, "options", ctr_json_texts(options)));
}

static json_t *bundle_mounts(const struct ctr_bundle *b)
{
    static const char *const proc[] = {"nosuid", "noexec", "nodev", NULL};
    static const char *const dev[] = {"nosuid", "strictatime", "mode=755", "size=65536k", NULL};
    static const char *const pts[] = {"nosuid",    "noexec", "newinstance", "ptmxmode=0666",
                                      "mode=0620", "gid=5",  NULL};
    static const char *const pts_own[] = {"nosuid",        "noexec",    "newinstance",
                                          "ptmxmode=0666", "mode=0620", NULL};
    static const char *const shm[] = {"nosuid",    "noexec",      "nodev",
                                      "mode=1777", "size=65536k", NULL};
    static const char *const sys[] = {"nosuid", "noexec", "nodev", "ro", NULL};
    json_t *mounts = json_array();

    mount_add(mounts, "/proc", "proc", "proc", proc);
    mount_add(mounts, "/dev", "tmpfs", "tmpfs", dev);
    mount_add(mounts, "/dev/pts", "devpts", "devpts", b->users == 1 ? pts_own : pts);
    mount_add(mounts, "/dev/shm", "tmpfs", "shm", shm);
    mount_add(mounts, "/dev/mqueue", "mqueue", "mqueue", proc);
    mount_add(mounts, "/sys", "sysfs", "sysfs", sys);
    if (!b->users)
        mount_add(mounts, "/sys/fs/cgroup", "cgroup", "cgroup", sys);
    return mounts;
}

static void bundle_add_etc(const struct ctr_bundle *b, json_t *mounts)
{
    static const char *const names[] = {"hosts", "hostname", "resolv.conf"};
    static const char *const options[] = {"bind", "rprivate", "nosuid", "nodev", NULL};

    for (size_t i = 0; b->etc && i < sizeof(names) / sizeof(names[0]); i++) {
        char source[4096], at[32];

        (void)snprintf(source, sizeof(source), "%s/%s", b->etc, names[i]);
        (void)snprintf(at, sizeof(at), "/etc/%s", names[i]);
        mount_add(mounts, at, "bind", source, options);
    }
}

static void bundle_add_volumes(const struct ctr_bundle *b, json_t *mounts)
{
    static const char *const writable[] = {"rbind", "rprivate", "rw", NULL};
    static const char *const readonly[] = {"rbind", "rprivate", "rro", NULL};

    for (unsigned i = 0; i < b->config->share_count; i++) {
        const struct vm_share *s = &b->config->share[i];

        mount_add(mounts, s->guest, "bind", s->host, s->read_only ? readonly : writable);
    }
}

/* --- limits --- */

void ctr_bundle_group(const struct vm_config *config, char ret[static CTR_GROUP_NAME])
{
    (void)snprintf(ret, CTR_GROUP_NAME, "/posada-%s", config->uuid);
}

/* A mark that moves is its mover's (ctr/pressure.h): it begins where it is. */
static void resources_marks(const struct vm_config *config, bool again, json_t *resources)
{
    json_t *unified = json_object();

    if (config->memory_low || again)
        json_object_set_new(unified, "memory.low",
                            json_sprintf("%llu", (unsigned long long)config->memory_low));
    if (config->memory_high)
        json_object_set_new(unified, "memory.high",
                            json_sprintf("%llu", (unsigned long long)config->memory_high));
    else if (again && !config->memory_auto)
        json_object_set_new(unified, "memory.high", json_string("max"));
    if (json_object_size(unified))
        json_object_set(resources, "unified", unified);
    json_decref(unified);
}

/* Version 1 has a soft limit, which is what the reservation is there; -1: none. */
static json_t *resources_memory(const struct vm_config *config, unsigned means, bool again)
{
    bool soft = (means & CTR_GROUP_MEMORY) && !(means & CTR_GROUP_MARKS);
    json_int_t limit = (json_int_t)config->memory, low = (json_int_t)config->memory_low;
    json_t *memory = json_object();

    if (limit) {
        json_object_set_new(memory, "limit", json_integer(limit));
        json_object_set_new(memory, "swap", json_integer(limit));
    }
    if (soft && (low || again))
        json_object_set_new(memory, "reservation", json_integer(low ? low : -1));
    return memory;
}

json_t *ctr_bundle_resources(const struct vm_config *config, unsigned means, bool again)
{
    json_t *memory = resources_memory(config, means, again);
    json_t *resources = json_object();
    json_int_t quota = (json_int_t)config->millicpus * CPU_PERIOD_US / 1000;

    if (json_object_size(memory))
        json_object_set(resources, "memory", memory);
    json_decref(memory);
    if (means & CTR_GROUP_MARKS)
        resources_marks(config, again, resources);
    if (quota)
        json_object_set_new(resources, "cpu",
                            json_pack("{s:I, s:i}", "quota",
                                      quota < CPU_QUOTA_MIN_US ? CPU_QUOTA_MIN_US : quota, "period",
                                      CPU_PERIOD_US));
    if (config->pids)
        json_object_set_new(resources, "pids", json_pack("{s:i}", "limit", (int)config->pids));
    return resources;
}

/* In pieces as the monitor's own namespace has them, for the kernel takes none across two. */
static json_t *bundle_ids(unsigned users)
{
    json_t *ids = json_pack("[{s:i, s:i, s:i}]", "containerID", 0, "hostID", 0, "size", 1);

    if (users > 1)
        json_array_append_new(ids, json_pack("{s:i, s:i, s:i}", "containerID", 1, "hostID", 1,
                                             "size", (int)users - 1));
    return ids;
}

static json_t *bundle_linux(const struct ctr_bundle *b)
{
    static const char *const namespaces[] = {"pid", "network", "ipc", "uts", "mount", "cgroup"};
    json_t *resources = ctr_bundle_resources(b->config, b->group->means, false);
    json_t *spaces = json_array(), *linux_part, *ids;
    char group[CTR_GROUP_NAME];

    if (!b->users)
        json_object_set_new(resources, "devices",
                            json_pack("[{s:b, s:s}]", "allow", false, "access", "rwm"));
    for (size_t i = 0; i < sizeof(namespaces) / sizeof(namespaces[0]); i++)
        json_array_append_new(spaces, json_pack("{s:s}", "type", namespaces[i]));
    ctr_bundle_group(b->config, group);
    linux_part =
        json_pack("{s:o, s:o, s:o, s:o}", "namespaces", spaces, "resources", resources,
                  "maskedPaths", ctr_profile_masked(), "readonlyPaths", ctr_profile_readonly());
    if (b->seccomp)
        json_object_set(linux_part, "seccomp", (json_t *)(uintptr_t)b->seccomp);
    if (b->users) { /* below the monitor's own, with the users there are */
        ids = bundle_ids(b->users);
        json_array_append_new(spaces, json_pack("{s:s}", "type", "user"));
        json_object_set(linux_part, "uidMappings", ids);
        json_object_set_new(linux_part, "gidMappings", ids);
    }
    if (b->group->means)
        json_object_set_new(linux_part, "cgroupsPath", json_sprintf("%s%s", b->group->path, group));
    return linux_part;
}

json_t *ctr_bundle_make(const struct ctr_bundle *b)
{
    json_t *mounts = bundle_mounts(b);

    bundle_add_etc(b, mounts);
    bundle_add_volumes(b, mounts);
    return json_pack("{s:s, s:o, s:{s:s, s:b}, s:s, s:o, s:o}", "ociVersion", "1.2.0", "process",
                     ctr_bundle_process(b->config, b->config, b->user), "root", "path", b->root,
                     "readonly", false, "hostname", b->name, "mounts", mounts, "linux",
                     bundle_linux(b));
}
