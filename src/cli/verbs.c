/* SPDX-License-Identifier: Apache-2.0 */
/* The table of verbs, sorted by name: a new verb is a file and a line here. */
#include "cli/verbs.h"

/* One a line, so that two additions do not collide. */
/* clang-format off */
const struct cli_verb *const cli_verbs[] = {
    &cli_attach_verb,
    &cli_completion_verb,
    &cli_console_verb,
    &cli_container_monitor_verb,
    &cli_cp_verb,
    &cli_create_verb,
    &cli_disk_verb,
    &cli_doctor_verb,
    &cli_down_verb,
    &cli_events_verb,
    &cli_exec_verb,
    &cli_image_verb,
    &cli_inspect_verb,
    &cli_kill_verb,
    &cli_logs_verb,
    &cli_manual_verb,
    &cli_monitor_verb,
    &cli_net_hub_verb,
    &cli_net_user_verb,
    &cli_net_vsock_verb,
    &cli_network_verb,
    &cli_oci_verb,
    &cli_pause_verb,
    &cli_port_verb,
    &cli_ps_verb,
    &cli_rename_verb,
    &cli_restart_verb,
    &cli_resume_verb,
    &cli_rm_verb,
    &cli_run_verb,
    &cli_set_verb,
    &cli_share_helper_verb,
    &cli_start_verb,
    &cli_stats_verb,
    &cli_stop_verb,
    &cli_top_verb,
    &cli_up_verb,
    &cli_version_verb,
    &cli_wait_verb,
    NULL,
};
/* clang-format on */
