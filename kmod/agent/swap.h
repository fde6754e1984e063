/* SPDX-License-Identifier: GPL-2.0-only */
/* What agent.c and swap.c of the agent share. */
#ifndef ZSFUZZ_AGENT_SWAP_H
#define ZSFUZZ_AGENT_SWAP_H

#include "zsfuzz_abi.h"

/* agent.c */
int agent_write_file(const char *path, const char *text);
long agent_read_key(const char *path, const char *key);
void agent_say(const char *format, ...);
void agent_die(const char *what);

/* swap.c */
void swap_start(int ring_fd);
void swap_act(struct zsfuzz_agent_request *req, const char *cgroup_path);
void swap_leave_cgroup(unsigned int number, const char *root_path);
void swap_left_cgroup(unsigned int number, const char *kept);
void swap_forget_all(void);

#endif
