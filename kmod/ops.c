// SPDX-License-Identifier: GPL-2.0-only
/* The operations of docs/PROGRAM.md, one function each. */
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/shrinker.h>

#include "zsfuzz.h"
#include "zsl.h"

/* As zswap asks for memory: without direct reclaim, from any zone. */
#define ZSF_GFP	(__GFP_KSWAPD_RECLAIM | __GFP_NOWARN | __GFP_HIGHMEM | __GFP_MOVABLE)

static void result_init(struct zsfuzz_result *res)
{
	*res = (struct zsfuzz_result) {
		.zspage	= ZSFUZZ_NONE16,
		.class	= ZSFUZZ_NONE8,
		.index	= ZSFUZZ_NONE8,
		.owner	= ZSFUZZ_NONE8,
		.tail	= ZSFUZZ_NONE8,
		.group	= ZSFUZZ_NONE8,
		.value	= ZSFUZZ_NONE16,
		.faults	= ZSFUZZ_NONE16,
	};
}

/* ---- where an object lies ---------------------------------------------- */

struct zsf_place zsf_locate(struct zsf_session *s, const struct zsf_object *o)
{
	unsigned long obj = zsl_handle_obj(o->handle);
	void *zspage = zsl_handle_zspage(o->handle);

	if (!zspage)
		return (struct zsf_place) {};
	return (struct zsf_place) {
		.zspage	= zspage,
		.class	= zsl_class(s->pools[o->pool].zs,
				    ZSL_BITS(zspage, zspage_class)),
		.index	= zsl_obj_index(obj),
	};
}

static u8 owner_in(const struct zsf_place *at, unsigned int k)
{
	return zsf_cgroup_number(zsl_owner(at->zspage, at->class, k, at->index));
}

/* With an array for each page, an object that lies in two is entered twice. */
static void describe_owner(const struct zsf_place *at, struct zsfuzz_result *res)
{
	unsigned int from = at->index * zsl_class_size(at->class);
	unsigned int first = 0, last = 0;

	res->owner = ZSFUZZ_NONE8;
	res->tail = ZSFUZZ_NONE8;
	if (at->index >= zsl_class_objs(at->class))
		return;
	if (zsl_owner_arrays(at->class) > 1) {
		first = from >> PAGE_SHIFT;
		last = (from + zsl_class_size(at->class) - 1) >> PAGE_SHIFT;
	}
	res->owner = owner_in(at, first);
	if (last != first)
		res->tail = owner_in(at, last);
}

void zsf_describe_place(struct zsf_session *s, const struct zsf_object *o,
			   const struct zsf_place *at, struct zsfuzz_result *res)
{
	res->zspage = zsf_zspage_number(s, at->zspage, o->pool);
	res->class = zsl_class_index(at->class);
	res->index = at->index;
	describe_owner(at, res);
}

void zsf_describe_zspage(const struct zsf_place *at, struct zsfuzz_result *res)
{
	struct zsl_tags tags = zsl_zspage_tags(at->zspage, at->class);

	res->group = ZSL_BITS(at->zspage, zspage_fullness);
	res->inuse = ZSL_FIELD(unsigned int, at->zspage, zspage_inuse);
	res->tags = tags.pages;
	res->tag_bits = tags.bits;
}

/* -EFAULT if the handle leads to no object. */
static int describe(struct zsf_session *s, const struct zsf_object *o,
		    struct zsfuzz_result *res)
{
	struct zsf_place at = zsf_locate(s, o);

	if (!at.zspage)
		return -EFAULT;
	zsf_describe_place(s, o, &at, res);
	zsf_describe_zspage(&at, res);
	res->value = zs_get_total_pages(s->pools[o->pool].zs);
	return 0;
}

/* zsmalloc follows any handle: those that lead to no object must not reach it. */
static int object_check(struct zsf_session *s, const struct zsf_object *o)
{
	struct zsf_place at;
	unsigned int pages;

	if (!o->live)
		return -ENOENT;
	at = zsf_locate(s, o);
	if (!at.zspage)
		return -EFAULT;
	pages = zsl_class_pages(at.class);
	return zsl_zspage_length(at.zspage, pages) == pages ? 0 : -EFAULT;
}

/* ---- faults ------------------------------------------------------------ */

static void fault_arm(struct zsf_session *s)
{
#ifdef CONFIG_FAULT_INJECTION
	current->fail_nth = s->fail_nth;
#endif
}

static void fault_disarm(struct zsf_session *s, struct zsfuzz_result *res)
{
#ifdef CONFIG_FAULT_INJECTION
	if (!s->fail_nth)
		return;
	res->faults = current->fail_nth;
	current->fail_nth = 0;
#endif
}

/* ---- allocation and contents ------------------------------------------- */

static struct obj_cgroup *owner_of(const struct zsfuzz_op *op)
{
	return op->owner == ZSFUZZ_NO_OWNER ? NULL : zsf_cgroups[op->owner].objcg;
}

/*
 * Pools that are not memcg-aware have to ignore owners in our own designs; that
 * no caller names one may be a rule of other people's.
 */
static struct obj_cgroup *owner_told(const struct zsf_pool *pool, struct obj_cgroup *owner)
{
	return ZSL_IS_FOREIGN && !pool->aware ? NULL : owner;
}

static bool owner_absent(const struct zsfuzz_op *op)
{
	return op->owner != ZSFUZZ_NO_OWNER && !zsf_cgroups[op->owner].live;
}

/* zswap writes in reclaim; charges then succeed past any limit. */
static void write_object(struct zsf_session *s, struct zsf_object *o,
			 u16 length, u8 pattern, struct obj_cgroup *owner)
{
	unsigned int flags = memalloc_noreclaim_save();
	void *data = (void *)zsf_pattern(pattern);

	zsl_write(s->pools[o->pool].zs, o->handle, data, length,
		  owner_told(&s->pools[o->pool], owner));
	memalloc_noreclaim_restore(flags);
	o->length = length;
	o->pattern = pattern;
}

/* A charge that is made here, in kernels that do so, shall not fail either. */
static unsigned long malloc_object(struct zsf_pool *pool, size_t size, struct obj_cgroup *owner)
{
	unsigned int flags = 0;
	unsigned long handle;

	if (ZSL_OWNER_AT_MALLOC)
		flags = memalloc_noreclaim_save();
	handle = zsl_malloc(pool->zs, size, ZSF_GFP, numa_node_id(),
			    owner_told(pool, owner), pool->aware);
	if (ZSL_OWNER_AT_MALLOC)
		memalloc_noreclaim_restore(flags);
	return handle;
}

void zsf_object_free(struct zsf_session *s, struct zsf_object *o)
{
	struct zsf_place at = zsf_locate(s, o);
	struct obj_cgroup *owner = NULL;

	if (!at.zspage)
		return;
	if (ZSL_FREE_TAKES_OWNER && at.index < zsl_class_objs(at.class))
		owner = zsl_owner(at.zspage, at.class,
				  zsl_owner_arrays(at.class) > 1 ?
				  at.index * zsl_class_size(at.class) >> PAGE_SHIFT : 0,
				  at.index);
	/* A kernel that takes the size here again was told it in zs_malloc(), or when it charged. */
	zsl_free(s->pools[o->pool].zs, o->handle,
		 ZSL_OWNER_AT_MALLOC ? o->size : o->length ?: o->size, owner);
}

static int op_malloc(struct zsf_session *s, const struct zsfuzz_op *op,
		     struct zsfuzz_result *res)
{
	struct zsf_object *o = &s->objects[op->object];
	struct zsf_pool *pool = &s->pools[op->pool];
	unsigned long handle;

	if (o->live)
		return -EEXIST;
	if (!pool->zs)
		return -ENOENT;
	if (owner_absent(op))
		return -ESRCH;

	fault_arm(s);
	handle = malloc_object(pool, op->size, owner_of(op));
	fault_disarm(s, res);
	if (IS_ERR_VALUE(handle))
		return (int)(long)handle;

	*o = (struct zsf_object) {
		.handle	= handle,
		.size	= op->size,
		.pool	= op->pool,
		.live	= true,
	};
	pool->live++;
	s->live_objects++;
	if (op->object >= s->top_object)
		s->top_object = op->object + 1;
	if (op->owner != ZSFUZZ_NO_OWNER)
		write_object(s, o, op->size, op->arg % ZSFUZZ_PATTERNS, owner_of(op));
	return describe(s, o, res);
}

static int op_write(struct zsf_session *s, const struct zsfuzz_op *op,
		    struct zsfuzz_result *res)
{
	struct zsf_object *o = &s->objects[op->object];
	int ret = object_check(s, o);

	if (ret)
		return ret;
	if (owner_absent(op))
		return -ESRCH;
	if (op->size > o->size)
		return -EMSGSIZE;
	if (o->read_locked)
		return -EBUSY;
	write_object(s, o, op->size ?: o->size, op->arg % ZSFUZZ_PATTERNS,
		     owner_of(op));
	return describe(s, o, res);
}

static int op_read(struct zsf_session *s, const struct zsfuzz_op *op,
		   struct zsfuzz_result *res)
{
	struct zsf_object *o = &s->objects[op->object];
	int ret = object_check(s, o);

	if (ret)
		return ret;
	describe(s, o, res);
	res->value = zsf_object_contents(s, o, op->arg & 1);
	return 0;
}

static int op_free(struct zsf_session *s, const struct zsfuzz_op *op,
		   struct zsfuzz_result *res)
{
	struct zsf_object *o = &s->objects[op->object];
	unsigned long allocated, pages;
	struct zsf_pool *pool;
	struct zsf_place at;
	int ret = object_check(s, o);

	if (ret)
		return ret;
	if (o->read_locked)
		return -EBUSY;
	pool = &s->pools[o->pool];
	at = zsf_locate(s, o);
	zsf_describe_place(s, o, &at, res);
	allocated = zsl_class_stat(at.class, ZSL_ENUM_ZS_OBJS_ALLOCATED);
	pages = zs_get_total_pages(pool->zs);

	zsf_object_free(s, o);

	o->live = false;
	pool->live--;
	s->live_objects--;
	res->value = zs_get_total_pages(pool->zs);
	/* Two signs that the zspage is gone: one of them may be what is wrong. */
	if (zsl_class_stat(at.class, ZSL_ENUM_ZS_OBJS_ALLOCATED) == allocated &&
	    zs_get_total_pages(pool->zs) == pages)
		zsf_describe_zspage(&at, res);
	else
		zsf_zspage_gone(s, at.zspage);
	return 0;
}

/* ---- compaction -------------------------------------------------------- */

static void places_save(struct zsf_session *s, unsigned int number)
{
	unsigned int i;

	for (i = 0; i < s->top_object; i++)
		if (s->objects[i].live && s->objects[i].pool == number)
			s->places[i] = zsl_handle_obj(s->objects[i].handle);
}

static u16 places_changed(struct zsf_session *s, unsigned int number)
{
	unsigned int i;
	u16 changed = 0;

	for (i = 0; i < s->top_object; i++)
		if (s->objects[i].live && s->objects[i].pool == number &&
		    s->places[i] != zsl_handle_obj(s->objects[i].handle))
			changed++;
	return changed;
}

static int op_compact(struct zsf_session *s, const struct zsfuzz_op *op,
		      struct zsfuzz_result *res)
{
	struct zsf_pool *pool = &s->pools[op->pool];

	if (!pool->zs)
		return -ENOENT;
	places_save(s, op->pool);
	res->value = zs_compact(pool->zs);
	res->inuse = places_changed(s, op->pool);
	zsf_zspages_prune(s, op->pool);
	return 0;
}

static int op_shrink(struct zsf_session *s, const struct zsfuzz_op *op,
		     struct zsfuzz_result *res)
{
	struct shrink_control sc = { .gfp_mask = GFP_KERNEL, .nr_to_scan = 128 };
	struct zsf_pool *pool = &s->pools[op->pool];
	struct shrinker *shrinker;
	unsigned long freed;

	if (!pool->zs)
		return -ENOENT;
	shrinker = ZSL_FIELD(struct shrinker *, pool->zs, zs_pool_shrinker);
	if (!shrinker)
		return -ENODEV;
	places_save(s, op->pool);
	res->tags = shrinker->count_objects(shrinker, &sc);
	freed = shrinker->scan_objects(shrinker, &sc);
	res->value = freed == SHRINK_STOP ? ZSFUZZ_NONE16 : freed;
	res->inuse = places_changed(s, op->pool);
	zsf_zspages_prune(s, op->pool);
	return 0;
}

/* ---- migration, locks -------------------------------------------------- */

#ifdef ZSL_SYM_zsmalloc_mops
/*
 * The steps of isolate_movable_ops_page() and migrate_movable_ops_page(), with
 * the page locked throughout: the kernel lets go of it in between.  On success
 * @old_state is the state of the old page afterwards, which only we refer to.
 */
static int migrate_one(struct zsf_session *s, struct page *page,
		       struct zsfuzz_result *res, u8 *old_state)
{
	const struct movable_operations *mops = ZSL_SYMBOL(zsmalloc_mops);
	struct page *newpage = alloc_page(GFP_HIGHUSER_MOVABLE);
	int ret = -EAGAIN;

	if (!newpage)
		return -ENOMEM;
	get_page(page);
	if (!page_has_movable_ops(page)) {
		ret = -ENXIO;
		goto out_put;
	}
	if (!trylock_page(page))
		goto out_put;
	if (PageMovableOpsIsolated(page) ||
	    !mops->isolate_page(page, ISOLATE_UNEVICTABLE)) {
		ret = -EBUSY;
		goto out_unlock;
	}
	SetPageMovableOpsIsolated(page);
	lock_page(newpage);
	fault_arm(s);
	ret = mops->migrate_page(newpage, page, MIGRATE_SYNC);
	fault_disarm(s, res);
	if (ret)
		mops->putback_page(page);
	ClearPageMovableOpsIsolated(page);
	*old_state = zsl_page_state(page);
	if (page_count(page) != 1)
		*old_state |= ZSFUZZ_PAGE_HELD;
	if (PagePrivate(page) || zsl_page_zspage(page))
		*old_state |= ZSFUZZ_PAGE_KEPT;
	unlock_page(newpage);
out_unlock:
	unlock_page(page);
out_put:
	put_page(page);
	put_page(newpage);
	return ret;
}
#else
static int migrate_one(struct zsf_session *s, struct page *page,
		       struct zsfuzz_result *res, u8 *old_state)
{
	return -EOPNOTSUPP;
}
#endif

static int object_page(struct zsf_session *s, const struct zsfuzz_op *op,
		       struct page **page)
{
	struct zsf_object *o = &s->objects[op->object];
	int ret = object_check(s, o);
	struct zsf_place at;

	if (ret)
		return ret;
	at = zsf_locate(s, o);
	if (op->arg >= zsl_class_pages(at.class))
		return -ERANGE;
	if (!(zsf_features() & ZSFUZZ_HAS_MIGRATION))
		return -EOPNOTSUPP;
	*page = zsl_zspage_page(at.zspage, op->arg);
	if (PageLocked(*page))
		return -EAGAIN;
	return 0;
}

static int op_migrate(struct zsf_session *s, const struct zsfuzz_op *op,
		      struct zsfuzz_result *res)
{
	struct page *page;
	int ret = object_page(s, op, &page);
	u8 old_state;

	if (!ret)
		ret = migrate_one(s, page, res, &old_state);
	if (!ret)
		ret = describe(s, &s->objects[op->object], res);
	if (!ret)
		res->value = old_state;
	return ret;
}

static int op_lock_page(struct zsf_session *s, const struct zsfuzz_op *op,
			struct zsfuzz_result *res)
{
	struct zsf_object *o = &s->objects[op->object];
	struct page *page;
	int ret = object_page(s, op, &page);

	if (ret)
		return ret;
	if (s->nr_held == ARRAY_SIZE(s->held))
		return -ENOLCK;
	zsf_pool_hook(&s->pools[o->pool]);
	if (!trylock_page(page))
		return -EAGAIN;
	get_page(page);
	s->held[s->nr_held++] = (struct zsf_held_page) { page, o->pool };
	s->pools[o->pool].held++;
	describe(s, o, res);
	return 0;
}

static int op_read_lock(struct zsf_session *s, const struct zsfuzz_op *op,
			struct zsfuzz_result *res)
{
	struct zsf_object *o = &s->objects[op->object];
	int ret = object_check(s, o);

	if (ret)
		return ret;
	if (o->read_locked)
		return -EBUSY;
	zsl_zspage_readers(zsl_handle_zspage(o->handle), 1);
	o->read_locked = true;
	s->pools[o->pool].held++;
	describe(s, o, res);
	return 0;
}

static int op_flush(struct zsf_session *s, const struct zsfuzz_op *op,
		    struct zsfuzz_result *res)
{
	struct zsf_pool *pool = &s->pools[op->pool];

	if (!pool->zs)
		return -ENOENT;
	zsf_pool_flush(s, op->pool);
	res->value = zs_get_total_pages(pool->zs);
	return 0;
}

/* ---- the rest ---------------------------------------------------------- */

static int op_pool_create(struct zsf_session *s, const struct zsfuzz_op *op,
			  struct zsfuzz_result *res)
{
	if (s->pools[op->pool].zs)
		return -EEXIST;
	res->value = 0;
	return zsf_pool_create(s, op->pool, op->arg & 1);
}

static int op_pool_destroy(struct zsf_session *s, const struct zsfuzz_op *op,
			   struct zsfuzz_result *res)
{
	struct zsf_pool *pool = &s->pools[op->pool];

	if (!pool->zs)
		return -ENOENT;
	if (pool->live || pool->held)
		return -EBUSY;
	zsf_pool_flush(s, op->pool);
	zsf_pool_destroy(s, op->pool);
	return 0;
}

static int op_fail_next(struct zsf_session *s, const struct zsfuzz_op *op,
			struct zsfuzz_result *res)
{
	if (!(zsf_features() & ZSFUZZ_HAS_FAULTS))
		return -EOPNOTSUPP;
	s->fail_nth = op->arg & 0xff;
	s->fail_armed = true;
	res->value = 0;
	return 0;
}

static int op_stat(struct zsf_session *s, const struct zsfuzz_op *op,
		   struct zsfuzz_result *res)
{
	struct zsf_charge charge;

	if (!(zsf_features() & ZSFUZZ_HAS_MEMCG))
		return -EOPNOTSUPP;
	if (!zsf_cgroups[op->owner].live)
		return -ESRCH;
	zsf_cgroups_flush();
	zsf_cgroup_read(op->owner, &charge);
	res->inuse = charge.zswapped;
	res->value = charge.zswap;
	res->tags = charge.zswap >> 16;
	return 0;
}

static int op_zswap_max(const struct zsfuzz_op *op)
{
	if (!(zsf_features() & ZSFUZZ_HAS_ZSWAP))
		return -EOPNOTSUPP;
	if (!zsf_cgroups[op->owner].live)
		return -ESRCH;
	if (op->owner == 0)
		return -EPERM;
	return zsf_cgroup_limit(op->owner, op->arg);
}

static int op_may_zswap(const struct zsfuzz_op *op, struct zsfuzz_result *res)
{
	int ret;

	if (!(zsf_features() & ZSFUZZ_HAS_ZSWAP))
		return -EOPNOTSUPP;
	if (!zsf_cgroups[op->owner].live)
		return -ESRCH;
	ret = zsf_cgroup_may_zswap(op->owner);
	if (ret < 0)
		return ret;
	res->value = ret;
	return 0;
}

static int op_classes(struct zsf_session *s, const struct zsfuzz_op *op,
		      struct zsfuzz_result *res)
{
	struct zsf_totals totals;
	int ret;

	if (!s->pools[op->pool].zs)
		return -ENOENT;
	ret = zsf_classes_read(s, op->pool, NULL, &totals);
	if (ret)
		return ret;
	s->pools[op->pool].show_rows = true;
	res->inuse = totals.used;
	res->tags = totals.freeable;
	res->value = totals.pages;
	return 0;
}

/* Asks for compaction of all memory, as an administrator would. */
static int op_compact_memory(void)
{
	struct file *file;
	loff_t pos = 0;
	ssize_t n;

	if (!(zsf_features() & ZSFUZZ_HAS_MIGRATION))
		return -EOPNOTSUPP;
	file = filp_open("/proc/sys/vm/compact_memory", O_WRONLY, 0);
	if (IS_ERR(file))
		return PTR_ERR(file);
	n = kernel_write(file, "1", 1, &pos);
	filp_close(file, NULL);
	return n < 0 ? n : 0;
}

static int op_cgroup_create(struct zsf_session *s, const struct zsfuzz_op *op,
			    struct zsf_call *call)
{
	if (!(zsf_features() & ZSFUZZ_HAS_MEMCG))
		return -EOPNOTSUPP;
	if (zsf_cgroups[op->owner].live)
		return -EEXIST;
	if (op->arg == 0 || (op->arg != op->owner && !zsf_cgroups[op->arg].live))
		return -ESRCH;
	if (op->arg != op->owner && zsf_swap_has_process(s, op->arg))
		return -EBUSY;	/* a cgroup has processes or children */
	call->action = ZSFUZZ_AGENT_CGROUP_CREATE;
	call->cgroup = op->owner;
	call->parent = op->arg;
	return 0;
}

static int op_cgroup_remove(const struct zsfuzz_op *op, struct zsf_call *call)
{
	if (!(zsf_features() & ZSFUZZ_HAS_MEMCG))
		return -EOPNOTSUPP;
	if (!zsf_cgroups[op->owner].live)
		return -ESRCH;
	if (op->owner == 0)
		return -EPERM;
	if (zsf_cgroup_has_child(op->owner))
		return -EBUSY;
	call->action = ZSFUZZ_AGENT_CGROUP_REMOVE;
	call->cgroup = op->owner;
	return 0;
}

/* Every input is checked here, before any of it reaches the allocator. */
int zsf_op_check(const struct zsfuzz_op *op)
{
	if (op->op >= ZSFUZZ_NR_OPCODES || op->pool >= ZSFUZZ_POOLS ||
	    op->owner > ZSFUZZ_NO_OWNER)
		return -EINVAL;
	switch (op->op) {
	case ZSFUZZ_CGROUP_CREATE:
		if (op->arg >= ZSFUZZ_CGROUPS)
			return -EINVAL;
		fallthrough;
	case ZSFUZZ_STAT:
	case ZSFUZZ_CGROUP_REMOVE:
	case ZSFUZZ_ZSWAP_MAX:
	case ZSFUZZ_MAY_ZSWAP:
	case ZSFUZZ_PAGE_WRITE:
	case ZSFUZZ_PAGE_EXIT:
	case ZSFUZZ_STAT_FILES:
		if (op->owner >= ZSFUZZ_CGROUPS)
			return -EINVAL;
	}
	return 0;
}

static int op_dispatch(struct zsf_session *s, const struct zsfuzz_op *op,
		       struct zsfuzz_result *res, struct zsf_call *call)
{
	switch (op->op) {
	case ZSFUZZ_POOL_CREATE:	return op_pool_create(s, op, res);
	case ZSFUZZ_POOL_DESTROY:	return op_pool_destroy(s, op, res);
	case ZSFUZZ_MALLOC:		return op_malloc(s, op, res);
	case ZSFUZZ_WRITE:		return op_write(s, op, res);
	case ZSFUZZ_READ:		return op_read(s, op, res);
	case ZSFUZZ_FREE:		return op_free(s, op, res);
	case ZSFUZZ_COMPACT:		return op_compact(s, op, res);
	case ZSFUZZ_MIGRATE:		return op_migrate(s, op, res);
	case ZSFUZZ_SHRINK:		return op_shrink(s, op, res);
	case ZSFUZZ_LOCK_PAGE:		return op_lock_page(s, op, res);
	case ZSFUZZ_READ_LOCK:		return op_read_lock(s, op, res);
	case ZSFUZZ_FLUSH:		return op_flush(s, op, res);
	case ZSFUZZ_FAIL_NEXT:		return op_fail_next(s, op, res);
	case ZSFUZZ_STAT:		return op_stat(s, op, res);
	case ZSFUZZ_CGROUP_CREATE:	return op_cgroup_create(s, op, call);
	case ZSFUZZ_CGROUP_REMOVE:	return op_cgroup_remove(op, call);
	case ZSFUZZ_CLASSES:		return op_classes(s, op, res);
	case ZSFUZZ_ZSWAP_MAX:		return op_zswap_max(op);
	case ZSFUZZ_MAY_ZSWAP:		return op_may_zswap(op, res);
	case ZSFUZZ_COMPACT_MEMORY:	return op_compact_memory();
	}
	return zsf_swap_op(s, op, res, call);
}

/*
 * Runs one operation that zsf_op_check() has passed.  If @call->action is
 * set afterwards, the agent has to act: zsf_op_ask(), then zsf_op_finish().
 */
void zsf_op_run(struct zsf_session *s, const struct zsfuzz_op *op,
		struct zsfuzz_result *res, struct zsf_call *call)
{
	bool armed = s->fail_armed;

	result_init(res);
	call->action = ZSFUZZ_AGENT_NONE;
	if (armed && s->fail_nth)
		res->faults = s->fail_nth;
	res->ret = op_dispatch(s, op, res, call);
	res->zspages = zsf_zspages(s);
	if (armed && op->op != ZSFUZZ_FAIL_NEXT) {
		s->fail_armed = false;
		s->fail_nth = 0;
	}
}

/* The agent is going to be asked; zsf_op_finish() follows. */
void zsf_op_ask(struct zsf_session *s, struct zsf_call *call)
{
	if (call->action == ZSFUZZ_AGENT_CGROUP_REMOVE)
		call->held = zsf_cgroup_hold(call->cgroup);
	if (call->action == ZSFUZZ_AGENT_PAGE_WRITE)
		zsf_swap_begin(s);
}

/* Takes the agent's answer to @call, after zsf_op_ask(). */
void zsf_op_finish(struct zsf_session *s, const struct zsf_call *call,
		   const struct zsfuzz_agent_request *req, struct zsfuzz_result *res)
{
	res->ret = req->result;
	switch (call->action) {
	case ZSFUZZ_AGENT_CGROUP_REMOVE:
		res->ret = zsf_cgroup_removed(call->cgroup, call->held, req->result);
		zsf_swap_cgroup_removed(s, call->cgroup);
		s->tree_changed = true;
		break;
	case ZSFUZZ_AGENT_CGROUP_CREATE:
		zsf_swap_joined(s, call->cgroup);
		s->tree_changed = true;
		break;
	default:
		if (res->ret) {
			result_init(res);
			res->ret = req->result;
		} else {
			zsf_swap_finish(s, call, req, res);
		}
	}
	res->zspages = zsf_zspages(s);
}
