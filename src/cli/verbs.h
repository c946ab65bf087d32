/* SPDX-License-Identifier: Apache-2.0 */
/* Every verb, one file each (near relatives share one); verbs.c lists them. */
#pragma once

#include "cli/cli.h"

extern const struct cli_verb cli_attach_verb;
extern const struct cli_verb cli_completion_verb;
extern const struct cli_verb cli_console_verb;
extern const struct cli_verb cli_container_copy_verb;
extern const struct cli_verb cli_container_monitor_verb;
extern const struct cli_verb cli_container_net_verb;
extern const struct cli_verb cli_cp_verb;
extern const struct cli_verb cli_create_verb;
extern const struct cli_verb cli_disk_verb;
extern const struct cli_verb cli_doctor_verb;
extern const struct cli_verb cli_down_verb;
extern const struct cli_verb cli_events_verb;
extern const struct cli_verb cli_exec_verb;
extern const struct cli_verb cli_image_verb;
extern const struct cli_verb cli_inspect_verb;
extern const struct cli_verb cli_kill_verb;
extern const struct cli_verb cli_logs_verb;
extern const struct cli_verb cli_manual_verb;
extern const struct cli_verb cli_monitor_verb;
extern const struct cli_verb cli_net_hub_verb;
extern const struct cli_verb cli_net_pump_verb;
extern const struct cli_verb cli_net_user_verb;
extern const struct cli_verb cli_net_vsock_verb;
extern const struct cli_verb cli_network_verb;
extern const struct cli_verb cli_oci_verb;
extern const struct cli_verb cli_pause_verb;
extern const struct cli_verb cli_port_verb;
extern const struct cli_verb cli_ps_verb;
extern const struct cli_verb cli_rename_verb;
extern const struct cli_verb cli_restart_verb;
extern const struct cli_verb cli_resume_verb;
extern const struct cli_verb cli_rm_verb;
extern const struct cli_verb cli_run_verb;
extern const struct cli_verb cli_set_verb;
extern const struct cli_verb cli_share_helper_verb;
extern const struct cli_verb cli_start_verb;
extern const struct cli_verb cli_stats_verb;
extern const struct cli_verb cli_stop_verb;
extern const struct cli_verb cli_top_verb;
extern const struct cli_verb cli_up_verb;
extern const struct cli_verb cli_version_verb;
extern const struct cli_verb cli_wait_verb;
