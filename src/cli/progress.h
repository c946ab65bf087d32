/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a long step goes, on stderr: a bar that is redrawn when stderr is a terminal, otherwise one
 * line a step. cli_progress_end() leaves the line clean; call it before printing anything else.
 */
#pragma once

struct image_progress;

const struct image_progress *cli_progress_start(const char *subject);
void cli_progress_end(void);
