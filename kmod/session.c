// SPDX-License-Identifier: GPL-2.0-only
/* Sessions: pools, objects and what is held, for one open file. */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/vmstat.h>

#include "zsfuzz.h"
#include "zsl.h"

/* Pages in zspages of all pools there are, less those before the program. */
u16 zsf_zspages(struct zsf_session *s)
{
	return global_zone_page_state(NR_ZSPAGES) - s->zspages_base;
}

/* ---- the numbers of zspages -------------------------------------------- */

/* The number of @zspage; a zspage that was not seen before gets the next one. */
u16 zsf_zspage_number(struct zsf_session *s, void *zspage, unsigned int pool)
{
	struct zsf_zspage *z;
	u16 i;

	for (i = s->nr_zspages; i--;)
		if (s->zspages[i].zspage == zspage)
			return s->zspages[i].number;

	if (WARN_ON_ONCE(s->nr_zspages == ARRAY_SIZE(s->zspages)))
		return ZSFUZZ_NONE16;
	z = &s->zspages[s->nr_zspages++];
	z->zspage = zspage;
	z->pool = pool;
	z->number = s->next_number++;
	return z->number;
}

/* @zspage is only compared: it has been freed. */
void zsf_zspage_gone(struct zsf_session *s, void *zspage)
{
	u16 i;

	for (i = 0; i < s->nr_zspages; i++)
		if (s->zspages[i].zspage == zspage) {
			s->zspages[i] = s->zspages[--s->nr_zspages];
			return;
		}
}

static bool zspage_listed(struct zs_pool *zs, void *zspage)
{
	unsigned int i, group;
	struct list_head *pos;

	for (i = 0; i < zsl_nr_classes; i++) {
		void *class = zsl_class(zs, zsl_classes[i]);

		if (!zsl_class_stat(class, ZSL_ENUM_ZS_OBJS_ALLOCATED))
			continue;
		for (group = 0; group < ZSL_ENUM_NR_FULLNESS_GROUPS; group++)
			list_for_each(pos, zsl_class_list(class, group))
				if (zsl_zspage_of_list(pos) == zspage)
					return true;
	}
	return false;
}

/* Forgets the zspages of a pool that compaction or a deferred free took. */
void zsf_zspages_prune(struct zsf_session *s, unsigned int pool)
{
	u16 i = 0;

	while (i < s->nr_zspages) {
		struct zsf_zspage *z = &s->zspages[i];

		if (z->pool == pool && !zspage_listed(s->pools[pool].zs, z->zspage))
			*z = s->zspages[--s->nr_zspages];
		else
			i++;
	}
}

/* ---- pools ------------------------------------------------------------- */

/* Can a pool of this kernel be memcg-aware? */
bool zsf_keeps_owners(void)
{
	u32 needed = ZSFUZZ_HAS_OWNERS | ZSFUZZ_HAS_MEMCG;

	return (zsf_features() & needed) == needed;
}

int zsf_pool_create(struct zsf_session *s, unsigned int number, bool aware)
{
	struct zsf_pool *pool = &s->pools[number];
	char name[32];

	snprintf(name, sizeof(name), "%s-p%u", s->name, number);
	memset(pool, 0, sizeof(*pool));
	pool->asked = aware;
	pool->aware = aware && zsf_keeps_owners();
	/* Without memcg too, as zswap asks: the kernel has to know better. */
	pool->zs = zsl_create_pool(name, aware);
	if (pool->zs && !pool->aware)
		zsl_note_bare(pool->zs);
	return pool->zs ? 0 : -ENOMEM;
}

void zsf_pool_destroy(struct zsf_session *s, unsigned int number)
{
	struct zsf_pool *pool = &s->pools[number];

	if (!pool->zs)
		return;
	zsl_forget_bare(pool->zs);
	zs_destroy_pool(pool->zs);
	pool->zs = NULL;
}

/* Pages that compaction freed since the program began. */
u32 zsf_pool_compacted(struct zsf_pool *pool)
{
	struct zs_pool_stats stats;

	zs_pool_stats(pool->zs, &stats);
	return atomic_long_read(&stats.pages_compacted) - pool->compacted_base;
}

/* ---- deferred free, stopped while something is held --------------------- */

static LIST_HEAD(zsf_hooks);
static DEFINE_SPINLOCK(zsf_hooks_lock);

/* Runs in place of async_free_zspage(): notes that it was asked for. */
static void __maybe_unused note_kick(struct work_struct *work)
{
	struct zsf_pool *pool;

	spin_lock(&zsf_hooks_lock);
	list_for_each_entry(pool, &zsf_hooks, hook)
		if (pool->hooked == work)
			pool->kicked = true;
	spin_unlock(&zsf_hooks_lock);
}

/* Stops the pool's deferred-free worker until the next flush. */
void zsf_pool_hook(struct zsf_pool *pool)
{
#ifdef ZSL_OFF_zs_pool_free_work
	struct work_struct *work = &ZSL_FIELD(struct work_struct, pool->zs,
					      zs_pool_free_work);

	if (pool->hooked)
		return;
	flush_work(work);
	pool->kicked = false;
	pool->free_func = work->func;
	pool->hooked = work;
	spin_lock(&zsf_hooks_lock);
	list_add(&pool->hook, &zsf_hooks);
	spin_unlock(&zsf_hooks_lock);
	work->func = note_kick;
#endif
}

static void pool_unhook(struct zsf_pool *pool)
{
	struct work_struct *work = pool->hooked;

	if (!work)
		return;
	flush_work(work);
	spin_lock(&zsf_hooks_lock);
	list_del(&pool->hook);
	spin_unlock(&zsf_hooks_lock);
	work->func = pool->free_func;
	pool->hooked = NULL;
	if (pool->kicked) {
		schedule_work(work);
		flush_work(work);
	}
}

/* ---- holding and letting go -------------------------------------------- */

static void let_go_of_reader(struct zsf_object *o)
{
	void *zspage = zsl_handle_zspage(o->handle);

	if (zspage)
		zsl_zspage_readers(zspage, -1);
	o->read_locked = false;
}

static void let_go_of_pages(struct zsf_session *s, unsigned int number)
{
	u16 i = 0;

	while (i < s->nr_held) {
		struct zsf_held_page *held = &s->held[i];

		if (held->pool != number) {
			i++;
			continue;
		}
		unlock_page(held->page);
		put_page(held->page);
		*held = s->held[--s->nr_held];
	}
}

static void let_go_of_readers(struct zsf_session *s, unsigned int number)
{
	unsigned int i;

	for (i = 0; i < s->top_object; i++) {
		struct zsf_object *o = &s->objects[i];

		if (o->live && o->read_locked && o->pool == number)
			let_go_of_reader(o);
	}
}

/* Lets go of all that is held in a pool, then runs its deferred frees. */
void zsf_pool_flush(struct zsf_session *s, unsigned int number)
{
	struct zsf_pool *pool = &s->pools[number];

	if (pool->held) {
		let_go_of_readers(s, number);
		let_go_of_pages(s, number);
		pool->held = 0;
	}
	if (pool->hooked) {
		pool_unhook(pool);
		zsf_zspages_prune(s, number);
	}
}

/* ---- sessions ---------------------------------------------------------- */

/* Flushes and frees whatever a program left. */
void zsf_session_drain(struct zsf_session *s)
{
	unsigned int i;

	for (i = 0; i < ZSFUZZ_POOLS; i++)
		if (s->pools[i].zs)
			zsf_pool_flush(s, i);
	for (i = 0; i < s->top_object; i++) {
		struct zsf_object *o = &s->objects[i];

		if (o->live)
			zsf_object_free(s, o);
		o->live = false;
	}
	for (i = 0; i < ZSFUZZ_POOLS; i++)
		s->pools[i].live = 0;
	s->live_objects = 0;
	s->top_object = 0;
	s->nr_zspages = 0;
	s->next_number = 0;
	s->fail_armed = false;
	s->fail_nth = 0;
	zsf_cgroups_unlimit();
}

/* The pools that every program finds: p0 memcg-aware, p1 not. */
static bool pool_is_as_at_start(struct zsf_session *s, unsigned int number)
{
	struct zsf_pool *pool = &s->pools[number];

	if (number > 1)
		return !pool->zs;
	return pool->zs && pool->asked == (number == 0);
}

/* Brings the pools of a drained session to what they are at a program's start. */
int zsf_session_reset(struct zsf_session *s)
{
	unsigned int i;
	int ret;

	for (i = 0; i < ZSFUZZ_POOLS; i++) {
		struct zsf_pool *pool = &s->pools[i];

		if (!pool_is_as_at_start(s, i)) {
			zsf_pool_destroy(s, i);
			if (i <= 1) {
				ret = zsf_pool_create(s, i, i == 0);
				if (ret)
					return ret;
			}
		}
		pool->show_rows = false;
		if (pool->zs) {
			pool->compacted_base = 0;
			pool->compacted_base = zsf_pool_compacted(pool);
		}
	}
	zsf_swap_reset(s);
	s->zspages_base = global_zone_page_state(NR_ZSPAGES);
	return 0;
}

struct zsf_session *zsf_session_create(void)
{
	static atomic_t serial = ATOMIC_INIT(0);
	struct zsf_session *s = kvzalloc(sizeof(*s), GFP_KERNEL);

	if (!s)
		return NULL;
	s->copy = kmalloc(PAGE_SIZE, GFP_KERNEL);
	snprintf(s->name, sizeof(s->name), "zsfuzz%d", atomic_inc_return(&serial));
	if (!s->copy || zsf_session_reset(s)) {
		zsf_session_destroy(s);
		return NULL;
	}
	return s;
}

void zsf_session_destroy(struct zsf_session *s)
{
	unsigned int i;

	zsf_session_drain(s);
	for (i = 0; i < ZSFUZZ_POOLS; i++)
		zsf_pool_destroy(s, i);
	kfree(s->copy);
	kvfree(s);
}
