// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cgroups of programs.  User space makes and removes the directories and
 * tells the module; owners are told apart by their obj_cgroup pointers, of
 * which the module holds no reference, so that it keeps no cgroup alive.
 */
#include <linux/cgroup.h>
#include <linux/delay.h>
#include <linux/memcontrol.h>

#include "zsfuzz.h"
#include "zsl.h"

struct zsf_cgroup zsf_cgroups[ZSFUZZ_CGROUPS];

#ifdef CONFIG_MEMCG

/* Owners whose cgroup was removed; only compared, never followed. */
static struct {
	struct obj_cgroup *objcg;
	u8 number;
} retired[ZSFUZZ_MAX_OPS];
static unsigned int nr_retired;

static struct mem_cgroup *base;		/* the common parent of c1.. */

typedef void (*css_rstat_flush_fn)(struct cgroup_subsys_state *css);
typedef void (*drain_all_stock_fn)(struct mem_cgroup *root_memcg);
typedef unsigned long (*memcg_page_state_fn)(struct mem_cgroup *memcg, int idx);
typedef bool (*may_zswap_fn)(struct obj_cgroup *objcg);

static struct obj_cgroup *objcg_of(struct mem_cgroup *memcg)
{
	struct obj_cgroup *objcg;

	rcu_read_lock();
	objcg = rcu_dereference(memcg->nodeinfo[numa_node_id()]->objcg);
	rcu_read_unlock();
	return objcg;
}

void zsf_cgroups_init(void)
{
	if (mem_cgroup_disabled())
		return;
	zsf_cgroups[0].memcg = root_mem_cgroup;
	zsf_cgroups[0].objcg = objcg_of(root_mem_cgroup);
	zsf_cgroups[0].live = true;
}

/* The memory cgroup of a directory; its user must not remove it meanwhile. */
static struct mem_cgroup *memcg_of_fd(int fd)
{
	struct cgroup_subsys_state *css;
	struct mem_cgroup *memcg = NULL;
	struct cgroup *cgrp;

	cgrp = cgroup_get_from_fd(fd);
	if (IS_ERR(cgrp))
		return ERR_CAST(cgrp);
	css = cgroup_get_e_css(cgrp, &memory_cgrp_subsys);
	if (css->cgroup == cgrp)
		memcg = mem_cgroup_from_css(css);
	css_put(css);
	cgroup_put(cgrp);
	return memcg ?: ERR_PTR(-ENODEV);	/* memory controller not enabled */
}

/* An address that was reused by a new obj_cgroup stands for that one only. */
static void forget_retired(struct obj_cgroup *objcg)
{
	unsigned int i = 0;

	while (i < nr_retired)
		if (retired[i].objcg == objcg)
			retired[i] = retired[--nr_retired];
		else
			i++;
}

static unsigned int number_of(struct mem_cgroup *memcg)
{
	unsigned int i;

	for (i = 0; i < ZSFUZZ_CGROUPS; i++)
		if (zsf_cgroups[i].live && zsf_cgroups[i].memcg == memcg)
			return i;
	return ZSFUZZ_CGROUPS;
}

/* c<number> was removed; objects may still carry its obj_cgroup. */
static void retire(unsigned int number)
{
	struct zsf_cgroup *cg = &zsf_cgroups[number];

	if (!cg->live)
		return;
	if (nr_retired == ARRAY_SIZE(retired)) {
		memmove(retired, retired + 1, sizeof(retired) - sizeof(retired[0]));
		nr_retired--;
	}
	retired[nr_retired].objcg = cg->objcg;
	retired[nr_retired++].number = number;
	cg->live = false;
	cg->memcg = NULL;
	cg->objcg = NULL;
}

#define OFFLINE_PATIENCE	(10 * HZ)

/*
 * Before c<number> is removed: its memcg is looked at once more afterwards, when
 * it may not be c<number> any more, as other open files have a say in that.
 */
struct mem_cgroup *zsf_cgroup_hold(unsigned int number)
{
	struct mem_cgroup *memcg = zsf_cgroups[number].memcg;

	css_get(&memcg->css);
	return memcg;
}

/*
 * rmdir() returns before the obj_cgroup is killed and handed to the parent; the
 * operations that follow shall find a cgroup that is gone, at every replay.
 */
static int await_offline(struct mem_cgroup *memcg)
{
	unsigned long until = jiffies + OFFLINE_PATIENCE;

	while (READ_ONCE(memcg->css.flags) & CSS_ONLINE) {
		if (time_after(jiffies, until))
			return -ETIMEDOUT;
		usleep_range(50, 200);
	}
	return 0;
}

/* @memcg is what zsf_cgroup_hold() gave, @ret what rmdir() returned. */
int zsf_cgroup_removed(unsigned int number, struct mem_cgroup *memcg, int ret)
{
	if (!ret) {
		ret = await_offline(memcg);
		if (zsf_cgroups[number].memcg == memcg)
			retire(number);
	}
	css_put(&memcg->css);
	return ret;
}

/* The whole tree is gone, and nothing is charged to it any more. */
static void forget_all(void)
{
	unsigned int i;

	for (i = 1; i < ZSFUZZ_CGROUPS; i++)
		retire(i);
	nr_retired = 0;
	base = NULL;
}

int zsf_cgroup_register(const struct zsfuzz_cgroup_fd *req)
{
	struct zsf_cgroup *cg;
	struct mem_cgroup *memcg;
	unsigned int parent;

	if (req->number != ~0u && (req->number == 0 || req->number >= ZSFUZZ_CGROUPS))
		return -EINVAL;
	if (req->fd < 0) {
		if (req->number == ~0u)
			forget_all();
		else
			retire(req->number);
		return 0;
	}
	memcg = memcg_of_fd(req->fd);
	if (IS_ERR(memcg))
		return PTR_ERR(memcg);
	if (req->number == ~0u) {
		base = memcg;
		return 0;
	}
	cg = &zsf_cgroups[req->number];
	if (cg->live)
		return -EEXIST;
	cg->memcg = memcg;
	cg->objcg = objcg_of(memcg);
	if (!cg->objcg)
		return -ENODEV;		/* on its way out */
	forget_retired(cg->objcg);
	parent = number_of(parent_mem_cgroup(memcg));
	cg->parent = parent < ZSFUZZ_CGROUPS ? parent : req->number;
	cg->live = true;
	zsl_find_owners(cg->objcg);
	return 0;
}

bool zsf_cgroup_has_child(unsigned int number)
{
	unsigned int i;

	for (i = 1; i < ZSFUZZ_CGROUPS; i++)
		if (i != number && zsf_cgroups[i].live &&
		    zsf_cgroups[i].parent == number)
			return true;
	return false;
}

/* 0xff: no owner; 0xfe: a pointer that belongs to none of our cgroups. */
u8 zsf_cgroup_number(struct obj_cgroup *objcg)
{
	unsigned int i;

	if (!objcg)
		return ZSFUZZ_NONE8;
	for (i = 0; i < ZSFUZZ_CGROUPS; i++)
		if (zsf_cgroups[i].objcg == objcg)
			return i;
	for (i = nr_retired; i--;)
		if (retired[i].objcg == objcg)
			return retired[i].number;
	return ZSFUZZ_FOREIGN;
}

/* Makes the next zsf_cgroup_read() exact, the root cgroup's included. */
void zsf_cgroups_flush(void)
{
#ifdef ZSL_SYM_css_rstat_flush
	((css_rstat_flush_fn)ZSL_SYMBOL(css_rstat_flush))(&root_mem_cgroup->css);
#endif
}

static unsigned long __maybe_unused page_state(struct mem_cgroup *memcg, int item)
{
#ifdef ZSL_SYM_memcg_page_state
	return ((memcg_page_state_fn)ZSL_SYMBOL(memcg_page_state))(memcg, item);
#else
	return 0;
#endif
}

static void read_memcg(struct mem_cgroup *memcg, struct zsf_charge *charge)
{
	*charge = (struct zsf_charge) { 0 };
#ifdef CONFIG_ZSWAP
#ifdef ZSL_COUNTER_zswap
	charge->zswap = page_state(memcg, ZSL_COUNTER_zswap);
#endif
	/* Some kernels count these in bytes. */
#ifdef ZSL_COUNTER_zswapped
	charge->zswapped = page_state(memcg, ZSL_COUNTER_zswapped) /
			   (PAGE_SIZE / ZSL_UNIT_zswapped);
#endif
#ifdef ZSL_COUNTER_incompressible
	charge->incompressible = page_state(memcg, ZSL_COUNTER_incompressible) /
				 (PAGE_SIZE / ZSL_UNIT_incompressible);
#endif
#endif
}

void zsf_cgroup_read(unsigned int number, struct zsf_charge *charge)
{
	read_memcg(zsf_cgroups[number].memcg, charge);
}

/* What is left in the common parent. */
void zsf_cgroups_left(struct zsf_charge *charge)
{
	*charge = (struct zsf_charge) { 0 };
	if (base)
		read_memcg(base, charge);
}

/* ---- memory.zswap.max --------------------------------------------------- */

#ifdef CONFIG_ZSWAP
/* As writing memory.zswap.max does, in pages. */
int zsf_cgroup_limit(unsigned int number, u16 pages)
{
	struct mem_cgroup *memcg = zsf_cgroups[number].memcg;

	WRITE_ONCE(memcg->zswap_max,
		   pages == ZSFUZZ_NO_LIMIT ? PAGE_COUNTER_MAX : pages);
	return 0;
}

u16 zsf_cgroup_limit_of(unsigned int number)
{
	unsigned long max = READ_ONCE(zsf_cgroups[number].memcg->zswap_max);

	return min_t(unsigned long, max, ZSFUZZ_NO_LIMIT);
}

void zsf_cgroups_unlimit(void)
{
	unsigned int i;

	for (i = 1; i < ZSFUZZ_CGROUPS; i++)
		if (zsf_cgroups[i].live)
			zsf_cgroup_limit(i, ZSFUZZ_NO_LIMIT);
}

/* Is a cgroup, with its ancestors, below its limits: 1 or 0. */
int zsf_cgroup_may_zswap(unsigned int number)
{
#ifdef ZSL_SYM_obj_cgroup_may_zswap
	may_zswap_fn may_zswap = (may_zswap_fn)ZSL_SYMBOL(obj_cgroup_may_zswap);

	return may_zswap(zsf_cgroups[number].objcg);
#else
	return -EOPNOTSUPP;
#endif
}
#endif /* CONFIG_ZSWAP */

/*
 * Counts obj_cgroups that outlive their cgroups: when one is removed, its
 * obj_cgroup goes on the list of the parent, in the end of the root, until the
 * last reference is put.  A css does not wait for that, so counting dying
 * cgroups would not show a leak.  Per-CPU stocks hold references: drain first.
 */
u32 zsf_cgroups_orphans(void)
{
	struct list_head *pos;
	unsigned long flags;
	u32 orphans = 0;
	int nid;

#ifdef ZSL_SYM_drain_all_stock
	((drain_all_stock_fn)ZSL_SYMBOL(drain_all_stock))(root_mem_cgroup);
#endif
#ifdef ZSL_SYM_drain_local_memcg_stock
	/* That passes over a slot with no pages left, which keeps its cgroup all the same. */
	((work_func_t)ZSL_SYMBOL(drain_local_memcg_stock))(NULL);
#endif
	/* objcg_lock cannot be had; on one CPU this keeps obj_cgroup_release() out. */
	local_irq_save(flags);
	for_each_online_node(nid)
		list_for_each(pos, &root_mem_cgroup->nodeinfo[nid]->objcg_list)
			orphans++;
	local_irq_restore(flags);
	return orphans;
}

#else /* !CONFIG_MEMCG */

void zsf_cgroups_init(void)
{
}

int zsf_cgroup_register(const struct zsfuzz_cgroup_fd *req)
{
	return -EOPNOTSUPP;
}

struct mem_cgroup *zsf_cgroup_hold(unsigned int number)
{
	return NULL;
}

int zsf_cgroup_removed(unsigned int number, struct mem_cgroup *memcg, int ret)
{
	return ret;
}

bool zsf_cgroup_has_child(unsigned int number)
{
	return false;
}

u8 zsf_cgroup_number(struct obj_cgroup *objcg)
{
	return objcg ? ZSFUZZ_FOREIGN : ZSFUZZ_NONE8;
}

void zsf_cgroups_flush(void)
{
}

void zsf_cgroup_read(unsigned int number, struct zsf_charge *charge)
{
	*charge = (struct zsf_charge) { 0 };
}

void zsf_cgroups_left(struct zsf_charge *charge)
{
	*charge = (struct zsf_charge) { 0 };
}

u32 zsf_cgroups_orphans(void)
{
	return 0;
}

#endif /* CONFIG_MEMCG */

#if !defined(CONFIG_MEMCG) || !defined(CONFIG_ZSWAP)
int zsf_cgroup_limit(unsigned int number, u16 pages)
{
	return -EOPNOTSUPP;
}

u16 zsf_cgroup_limit_of(unsigned int number)
{
	return ZSFUZZ_NO_LIMIT;
}

void zsf_cgroups_unlimit(void)
{
}

int zsf_cgroup_may_zswap(unsigned int number)
{
	return -EOPNOTSUPP;
}
#endif
