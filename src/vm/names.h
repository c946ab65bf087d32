/* SPDX-License-Identifier: Apache-2.0 */
/* Names for guests whose user gave none. */
#pragma once

#include <posada/vm.h>

/* "quiet-otter"; numbered: "quiet-otter-4711", for houses where the plain ones are taken. */
void names_generate(char ret_name[VM_NAME_MAX + 1], bool numbered);
