/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of the zsfuzz module share. */
#ifndef ZSFUZZ_H
#define ZSFUZZ_H

#include <linux/list.h>
#include <linux/memcontrol.h>
#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/workqueue.h>
#include <linux/zsmalloc.h>

#include "zsfuzz_abi.h"

/* One mutex for the whole module: programs never run at the same time. */
extern struct mutex zsf_lock;

/* ---- sessions: the state of one open file ------------------------------ */

struct zsf_object {
	unsigned long	handle;
	u16		size;		/* bytes, as requested */
	u16		length;		/* bytes that were written */
	u8		pool;
	u8		pattern;	/* that was written last */
	bool		live;
	bool		read_locked;
};

struct zsf_pool {
	struct zs_pool	*zs;		/* NULL: absent */
	bool		aware;		/* it keeps owners */
	bool		asked;		/* to be memcg-aware, whether it can be or not */
	u16		live;		/* objects */
	u16		held;		/* page locks and read locks */
	u32		compacted_base;	/* pages_compacted when the program began */
	struct work_struct *hooked;	/* free_work, while its function is replaced */
	work_func_t	free_func;	/* what it was */
	bool		kicked;		/* the worker was asked for meanwhile */
	bool		show_rows;	/* of the classes file, in the snapshot */
	struct list_head hook;		/* in zsf_hooks */
};

struct zsf_zspage {
	void		*zspage;
	u16		number;
	u8		pool;
};

struct zsf_held_page {
	struct page	*page;
	u8		pool;
};

/* A page of a process, in docs/PROGRAM.md v<number>. */
struct zsf_page {
	bool		live;
	bool		swapped;
	u8		cgroup;		/* of its process; ZSFUZZ_NO_OWNER: that was removed */
	unsigned long	entry;		/* type and offset, as in pagemap */
	void		*zspage;	/* before the operation, if it was in zswap */
	unsigned int	inuse;		/* of that zspage */
};

/* Pages that zswap took in, gave out and wrote back for a cgroup. */
struct zsf_events {
	unsigned long	in;
	unsigned long	out;
	unsigned long	back;
};

struct zsf_swap {
	struct zsf_page	pages[ZSFUZZ_PAGES];
	bool		used;		/* since the program began */
	bool		undrained;	/* there may be processes */
	u8		wrong;		/* pages had other contents at the end */
	u8		processes;	/* bit c: c<c> has one */
	unsigned int	pool;		/* where the page was before the operation; 0: in none */
	unsigned long	allocated;	/* ZS_OBJS_ALLOCATED of its class then */
	void		*zspage;
	void		*class;
	struct zsf_events events[ZSFUZZ_CGROUPS];	/* when the first page was written */
};

/* Two more pools than a program can name: zswap's and the swap device's. */
#define ZSF_ALL_POOLS		(ZSFUZZ_POOLS + 2)
#define ZSF_MAX_HELD		ZSFUZZ_MAX_OPS
/* Each zspage holds an object or page, or waits to be freed while a page is held. */
#define ZSF_MAX_ZSPAGES		(ZSFUZZ_OBJECTS + ZSFUZZ_PAGES + ZSF_MAX_HELD)

struct zsf_session {
	struct zsf_pool		pools[ZSF_ALL_POOLS];
	struct zsf_object	objects[ZSFUZZ_OBJECTS];
	struct zsf_swap		swap;
	u16			live_objects;
	u16			top_object;	/* one past the highest number used */

	struct zsf_zspage	zspages[ZSF_MAX_ZSPAGES];	/* live ones, in no order */
	u16			nr_zspages;
	u16			next_number;

	struct zsf_held_page	held[ZSF_MAX_HELD];
	u16			nr_held;

	u8			fail_nth;	/* armed for the next operation */
	bool			fail_armed;
	bool			has_agent;	/* that of the ring: it can swap */
	bool			tree_changed;	/* cgroups were created or removed */
	unsigned long		zspages_base;	/* NR_ZSPAGES when the program began */
	unsigned long		places[ZSFUZZ_OBJECTS];	/* before a compaction */
	char			name[24];
	void			*copy;		/* local_copy of zs_obj_read_begin() */
};

struct zsf_session *zsf_session_create(void);
void zsf_session_destroy(struct zsf_session *s);
int zsf_session_reset(struct zsf_session *s);
void zsf_session_drain(struct zsf_session *s);

int zsf_pool_create(struct zsf_session *s, unsigned int number, bool aware);
void zsf_pool_destroy(struct zsf_session *s, unsigned int number);
bool zsf_keeps_owners(void);
u32 zsf_pool_compacted(struct zsf_pool *pool);
void zsf_pool_hook(struct zsf_pool *pool);
void zsf_pool_flush(struct zsf_session *s, unsigned int number);
u16 zsf_zspages(struct zsf_session *s);

u16 zsf_zspage_number(struct zsf_session *s, void *zspage, unsigned int pool);
void zsf_zspage_gone(struct zsf_session *s, void *zspage);
void zsf_zspages_prune(struct zsf_session *s, unsigned int pool);

/* ---- cgroups: known to the whole module -------------------------------- */

struct zsf_cgroup {
	struct obj_cgroup	*objcg;
	struct mem_cgroup	*memcg;
	u8			parent;	/* itself: the common parent */
	bool			live;
};

extern struct zsf_cgroup zsf_cgroups[ZSFUZZ_CGROUPS];

/* What a cgroup and its descendants have in zswap. */
struct zsf_charge {
	u32	zswap;		/* bytes */
	u32	zswapped;	/* objects */
	u32	incompressible;	/* objects */
};

void zsf_cgroups_init(void);
int zsf_cgroup_register(const struct zsfuzz_cgroup_fd *req);
struct mem_cgroup *zsf_cgroup_hold(unsigned int number);
int zsf_cgroup_removed(unsigned int number, struct mem_cgroup *memcg, int ret);
bool zsf_cgroup_has_child(unsigned int number);
u8 zsf_cgroup_number(struct obj_cgroup *objcg);
void zsf_cgroups_flush(void);
void zsf_cgroup_read(unsigned int number, struct zsf_charge *charge);
int zsf_cgroup_limit(unsigned int number, u16 pages);
u16 zsf_cgroup_limit_of(unsigned int number);
void zsf_cgroups_unlimit(void);
int zsf_cgroup_may_zswap(unsigned int number);
void zsf_cgroups_left(struct zsf_charge *charge);
u32 zsf_cgroups_orphans(void);

/* ---- operations -------------------------------------------------------- */

/* Set when an operation has to be finished by the agent. */
struct zsf_call {
	u32	action;		/* enum zsfuzz_agent_action */
	u32	cgroup;
	u32	parent;
	u32	page;
	u32	arg;
	struct mem_cgroup *held;	/* CGROUP_REMOVE: until it is finished */
};

int zsf_op_check(const struct zsfuzz_op *op);
void zsf_op_run(struct zsf_session *s, const struct zsfuzz_op *op,
		struct zsfuzz_result *res, struct zsf_call *call);
void zsf_op_ask(struct zsf_session *s, struct zsf_call *call);
void zsf_op_finish(struct zsf_session *s, const struct zsf_call *call,
		   const struct zsfuzz_agent_request *req, struct zsfuzz_result *res);

/* Where an object lies; no zspage: its handle leads to no object. */
struct zsf_place {
	void		*zspage;
	void		*class;
	unsigned int	index;
};

void zsf_object_free(struct zsf_session *s, struct zsf_object *o);
struct zsf_place zsf_locate(struct zsf_session *s, const struct zsf_object *o);
void zsf_describe_place(struct zsf_session *s, const struct zsf_object *o,
			const struct zsf_place *at, struct zsfuzz_result *res);
void zsf_describe_zspage(const struct zsf_place *at, struct zsfuzz_result *res);

/* ---- snapshots --------------------------------------------------------- */

struct zsf_out {
	u8	*pos;
	u8	*end;
	bool	full;		/* something did not fit */
};

void *zsf_out(struct zsf_out *out, size_t bytes);
void zsf_snapshot(struct zsf_session *s, struct zsf_out *out);
void zsf_snapshot_end(struct zsf_session *s, struct zsf_out *out);

/* ---- the real swap path ------------------------------------------------- */

int zsf_swap_sample(const struct zsfuzz_swap_sample *sample);
bool zsf_swap_ready(void);
u32 zsf_swap_length(unsigned int pattern, bool on_disk);
void zsf_swap_reset(struct zsf_session *s);
bool zsf_swap_has_process(struct zsf_session *s, unsigned int cgroup);
int zsf_swap_op(struct zsf_session *s, const struct zsfuzz_op *op,
		struct zsfuzz_result *res, struct zsf_call *call);
void zsf_swap_finish(struct zsf_session *s, const struct zsf_call *call,
		     const struct zsfuzz_agent_request *req, struct zsfuzz_result *res);
void zsf_swap_begin(struct zsf_session *s);
void zsf_swap_joined(struct zsf_session *s, unsigned int cgroup);
void zsf_swap_cgroup_removed(struct zsf_session *s, unsigned int cgroup);
void zsf_swap_put_pages(struct zsf_session *s, struct zsf_out *out);
void zsf_swap_put_events(struct zsf_session *s, struct zsf_out *out);
u8 zsf_swap_leftovers(struct zsf_session *s);

/* ---- the classes file of debugfs --------------------------------------- */

struct zsf_totals {
	u16	used;		/* objects */
	u16	pages;
	u16	freeable;	/* pages */
};

int zsf_classes_read(struct zsf_session *s, unsigned int pool, struct zsf_out *out,
		     struct zsf_totals *totals);

/* ---- contents ---------------------------------------------------------- */

int zsf_patterns_init(void);
void zsf_patterns_exit(void);
const void *zsf_pattern(unsigned int pattern);
u8 zsf_object_contents(struct zsf_session *s, struct zsf_object *o, bool sg);

/* ---- coverage ---------------------------------------------------------- */

void zsf_cover_init(void);
u32 zsf_cover_sites(void);
void zsf_cover_start(u32 run_flags);
void zsf_cover_fold(u8 *counters, u32 *hits);
u32 zsf_cover_compares(struct zsfuzz_compare *to, u32 max);

/* ---- files and the ring ------------------------------------------------ */

u32 zsf_design(void);
u32 zsf_features(void);

int zsf_ring_init(struct dentry *root);
void zsf_ring_exit(void);
void zsf_files_init(struct dentry *root);

#endif /* ZSFUZZ_H */
