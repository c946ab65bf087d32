/* SPDX-License-Identifier: Apache-2.0 */
/* The software engine: any guest on any host, interpreted or translated to host code. */
#pragma once

#include <posada/engine.h>

extern const struct engine_ops engine_interp_ops, engine_jit_ops;
