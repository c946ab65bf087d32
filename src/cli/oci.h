/* SPDX-License-Identifier: Apache-2.0 */
/* posada-oci: the verbs of an OCI runtime. Each file has some of them; oci_main.c the table. */
#pragma once

#include "cli/cli.h"
#include "container/container.h"

extern const struct cli_verb oci_checkpoint_verb;
extern const struct cli_verb oci_create_verb;
extern const struct cli_verb oci_delete_verb;
extern const struct cli_verb oci_events_verb;
extern const struct cli_verb oci_exec_verb;
extern const struct cli_verb oci_features_verb;
extern const struct cli_verb oci_kill_verb;
extern const struct cli_verb oci_list_verb;
extern const struct cli_verb oci_pause_verb;
extern const struct cli_verb oci_ps_verb;
extern const struct cli_verb oci_restore_verb;
extern const struct cli_verb oci_resume_verb;
extern const struct cli_verb oci_run_verb;
extern const struct cli_verb oci_spec_verb;
extern const struct cli_verb oci_start_verb;
extern const struct cli_verb oci_state_verb;
extern const struct cli_verb oci_update_verb;

/* What the global options said; one for the process. */
const struct container_runtime *oci_runtime(void);
/* Tells the error on stderr and in the log; the exit code. */
int oci_fail(const struct err *err);
/* 0 or an error to the exit code. */
int oci_end(int code, const struct err *err);
/* Names that match a --regex pattern; the one name without. NULL-terminated. */
int must_use oci_names(const struct cli_args *args, const char ***ret_ids, struct err *err);
/* A whole file or "-", standard input. In the runtime's arena. */
int must_use oci_read(const char *path, char **ret_text, size_t *ret_len, struct err *err);
