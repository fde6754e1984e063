// SPDX-License-Identifier: GPL-2.0-only
/*
 * The real swap path: pages of the agent's processes go to zswap, from there
 * to a zram disk, and back.  The agent moves them; here is looked up what
 * became of them, in zswap's tree and in the disk's table.
 */
#include <linux/blkdev.h>
#include <linux/idr.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/swap.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "zsfuzz.h"
#include "zsl.h"

/* The layout says so if it knows all that is named here. */
#ifdef ZSL_HAS_SWAP

/* In an entry of /proc/PID/pagemap: type in the low 5 bits, then the offset. */
#define ENTRY_TYPE_BITS	5
#define ENTRY_BITS	55

#define ZSWAP_TREE_SHIFT	14	/* ZSWAP_ADDRESS_SPACE_SHIFT */
#define MAX_ROUNDS		64	/* of the shrink worker; see op_writeback() */

static u32 lengths[2][ZSFUZZ_PATTERNS];
static struct zs_pool *zswap_zs, *zram_zs;
static void *zram_table;
static unsigned long disk_pages;
static unsigned int swap_type;		/* of the disk, when the first page went out */
static u32 sampled;			/* bit p: pattern p in zswap; << 16: on the disk */
static bool ready;

/* Where the content of a swapped page is. */
struct stored {
	unsigned int	pool;		/* 0: it takes up no object */
	unsigned long	handle;
	unsigned int	length;		/* bytes */
	struct obj_cgroup *objcg;	/* that zswap keeps */
};

/* ---- finding zswap's and zram's objects --------------------------------- */

static unsigned int type_of(unsigned long entry)
{
	return entry & ((1u << ENTRY_TYPE_BITS) - 1);
}

/* Entries come from user space, and are indexes of the kernel's tables. */
static bool entry_is_on_disk(unsigned long entry)
{
	unsigned int *trees = ZSL_SYMBOL(nr_zswap_trees);
	unsigned long offset = entry >> ENTRY_TYPE_BITS;

	return type_of(entry) == swap_type && offset < disk_pages &&
	       offset >> ZSWAP_TREE_SHIFT < trees[swap_type];
}

static void *zswap_find(unsigned long entry)
{
	unsigned long offset = entry >> ENTRY_TYPE_BITS;
	struct xarray **trees = ZSL_SYMBOL(zswap_trees);

	return xa_load(trees[swap_type] + (offset >> ZSWAP_TREE_SHIFT), offset);
}

static struct stored find_in_zswap(unsigned long entry)
{
	void *found = zswap_find(entry);
	struct stored at = { 0 };

	if (!found)
		return at;
	at.pool = ZSFUZZ_ZSWAP_POOL;
	at.handle = ZSL_FIELD(unsigned long, found, zswap_entry_handle);
	at.length = ZSL_FIELD(unsigned int, found, zswap_entry_length);
#ifdef ZSL_OFF_zswap_entry_objcg
	at.objcg = ZSL_FIELD(struct obj_cgroup *, found, zswap_entry_objcg);
#endif
	return at;
}

/* A page that is one word again and again has that in place of a handle. */
static struct stored find_on_disk(unsigned long entry)
{
	unsigned long offset = entry >> ENTRY_TYPE_BITS;
	char *slot = (char *)zram_table + offset * ZSL_SIZE_zram_table_entry;
	u32 flags = ZSL_FIELD(u32, slot, zram_table_entry_attr);
	struct stored at = { 0 };

	if (flags & BIT(ZSL_ENUM_ZRAM_SAME))
		return at;
	at.handle = ZSL_FIELD(unsigned long, slot, zram_table_entry_handle);
	if (!at.handle)
		return at;
	at.pool = ZSFUZZ_ZRAM_POOL;
	at.length = flags & (BIT(ZSL_ENUM_ZRAM_SAME) - 1);
	return at;
}

static struct stored find(const struct zsf_page *page)
{
	struct stored at = { 0 };

	if (!page->swapped)
		return at;
	at = find_in_zswap(page->entry);
	return at.pool ? at : find_on_disk(page->entry);
}

static struct zsf_object object_at(const struct stored *at)
{
	return (struct zsf_object) { .handle = at->handle, .pool = at->pool };
}

/* ---- getting ready ------------------------------------------------------- */

/* Once: the agent has made the disk and swaps to it, and to nothing else. */
static int find_pools(unsigned int type)
{
	struct xarray **trees = ZSL_SYMBOL(zswap_trees);
	struct list_head *pools = ZSL_SYMBOL(zswap_pools);
	void *zram = idr_find(ZSL_SYMBOL(zram_index_idr), 0);
	struct gendisk *disk;
	char *first;

	if (type >= MAX_SWAPFILES || !trees[type])
		return -ERANGE;
	if (list_empty(pools) || !zram)
		return -ENODEV;
	first = (char *)pools->next - ZSL_OFF_zswap_pool_list;
	zswap_zs = ZSL_FIELD(struct zs_pool *, first, zswap_pool_zs_pool);
	zram_zs = ZSL_FIELD(struct zs_pool *, zram, zram_mem_pool);
	zsl_note_bare(zram_zs);
	if (!ZSL_FIELD(void *, zram, zram_table))
		return -ENODEV;
	zram_table = ZSL_FIELD(void *, zram, zram_table);
	disk_pages = ZSL_FIELD(u64, zram, zram_disksize) >> PAGE_SHIFT;
	swap_type = type;
	/* The swap header has been read for good: without it the disk is empty. */
	disk = ZSL_FIELD(struct gendisk *, zram, zram_disk);
	disk->fops->swap_slot_free_notify(disk->part0, 0);
	return 0;
}

/* The agent tells, pattern by pattern, where a page went; at last that it is done. */
int zsf_swap_sample(const struct zsfuzz_swap_sample *sample)
{
	unsigned long entry = sample->entry & (BIT(ENTRY_BITS) - 1);
	bool on_disk = sample->on_disk;
	struct stored at;
	int ret;

	if (ready)
		return -EALREADY;
	if (sample->pattern > ZSFUZZ_PATTERNS)
		return -EINVAL;
	if (sample->pattern == ZSFUZZ_PATTERNS) {
		if (~sampled)
			return -ENODATA;
		ready = true;
		return 0;
	}
	ret = zram_table ? 0 : find_pools(type_of(entry));
	if (ret)
		return ret;
	if (!entry_is_on_disk(entry))
		return -ERANGE;
	at = on_disk ? find_on_disk(entry) : find_in_zswap(entry);
	lengths[on_disk][sample->pattern] = at.length;
	sampled |= 1u << (sample->pattern + on_disk * ZSFUZZ_PATTERNS);
	return 0;
}

bool zsf_swap_ready(void)
{
	return ready;
}

u32 zsf_swap_length(unsigned int pattern, bool on_disk)
{
	return lengths[on_disk][pattern];
}

/* ---- a program's beginning and end --------------------------------------- */

/* The pools are not ours: they are looked at only. */
void zsf_swap_reset(struct zsf_session *s)
{
	struct zsf_pool *pool;
	unsigned int i;

	if (!s->swap.used && (!ready || s->pools[ZSFUZZ_ZSWAP_POOL].zs == zswap_zs))
		return;
	memset(&s->swap, 0, sizeof(s->swap));
	if (!ready || !s->has_agent)
		return;
	s->pools[ZSFUZZ_ZSWAP_POOL].zs = zswap_zs;
	s->pools[ZSFUZZ_ZSWAP_POOL].aware = zsf_keeps_owners();
	s->pools[ZSFUZZ_ZRAM_POOL].zs = zram_zs;
	for (i = ZSFUZZ_ZSWAP_POOL; i <= ZSFUZZ_ZRAM_POOL; i++) {
		pool = &s->pools[i];
		pool->compacted_base = 0;
		pool->compacted_base = zsf_pool_compacted(pool);
	}
}

static unsigned long stored_pages(void)
{
	return atomic_long_read((atomic_long_t *)ZSL_SYMBOL(zswap_stored_pages));
}

u8 zsf_swap_leftovers(struct zsf_session *s)
{
	u8 left = 0;

	if (stored_pages())
		left |= ZSFUZZ_LEFT_STORED;
	if (s->swap.wrong)
		left |= ZSFUZZ_LEFT_CONTENTS;
	return left;
}

/* ---- what an operation did ----------------------------------------------- */

/* Forgets zspages that are gone, then numbers new ones, page by page. */
static void number_zspages(struct zsf_session *s)
{
	unsigned int i;

	zsf_zspages_prune(s, ZSFUZZ_ZSWAP_POOL);
	zsf_zspages_prune(s, ZSFUZZ_ZRAM_POOL);
	for (i = 0; i < ZSFUZZ_PAGES; i++) {
		struct stored at = find(&s->swap.pages[i]);
		void *zspage = at.pool ? zsl_handle_zspage(at.handle) : NULL;

		if (zspage)
			zsf_zspage_number(s, zspage, at.pool);
	}
}

/* False if the handle leads to no object. */
static bool describe(struct zsf_session *s, const struct stored *at,
		     struct zsf_place *place, struct zsfuzz_result *res)
{
	struct zsf_object object = object_at(at);

	*place = zsf_locate(s, &object);
	if (!place->zspage)
		return false;
	zsf_describe_place(s, &object, place, res);
	/* Where zsmalloc keeps owners, it may leave out one that zswap has. */
	if (!ZSL_HAS_OWNERS && at->objcg)
		res->owner = zsf_cgroup_number(at->objcg);
	return true;
}

/* Before the agent takes a page out of swap: where it was. */
static void describe_before(struct zsf_session *s, unsigned int number,
			    struct zsfuzz_result *res)
{
	struct stored at = find(&s->swap.pages[number]);
	struct zsf_place place;

	s->swap.pool = 0;
	if (!at.pool || !describe(s, &at, &place, res))
		return;
	s->swap.pool = at.pool;
	s->swap.zspage = place.zspage;
	s->swap.class = place.class;
	s->swap.allocated = zsl_class_stat(place.class, ZSL_ENUM_ZS_OBJS_ALLOCATED);
}

/* Afterwards: what became of its zspage. */
static void describe_after(struct zsf_session *s, struct zsfuzz_result *res)
{
	struct zsf_place place = { s->swap.zspage, s->swap.class, 0 };

	if (s->swap.pool &&
	    zsl_class_stat(place.class, ZSL_ENUM_ZS_OBJS_ALLOCATED) == s->swap.allocated)
		zsf_describe_zspage(&place, res);
	s->swap.pool = 0;
}

/*
 * A page that goes to zswap may push others out, whose zspages may be freed and
 * made anew at the same address: remember who was in which.
 */
static void remember_zspages(struct zsf_session *s)
{
	unsigned int i;

	for (i = 0; i < ZSFUZZ_PAGES; i++) {
		struct zsf_page *page = &s->swap.pages[i];
		struct stored at = find(page);

		page->zspage = NULL;
		if (at.pool != ZSFUZZ_ZSWAP_POOL)
			continue;
		page->zspage = zsl_handle_zspage(at.handle);
		if (!page->zspage)
			continue;
		page->inuse = ZSL_FIELD(unsigned int, page->zspage, zspage_inuse);
	}
}

static bool has_left(struct zsf_page *page, void *zspage)
{
	return page->zspage == zspage && find(page).pool != ZSFUZZ_ZSWAP_POOL;
}

/* A zspage that all have left is gone: the kernel may write back many at once. */
static void forget_zspages(struct zsf_session *s)
{
	struct zsf_page *pages = s->swap.pages;
	unsigned int i, k, left;

	for (i = 0; i < ZSFUZZ_PAGES; i++) {
		if (!pages[i].zspage || !has_left(&pages[i], pages[i].zspage))
			continue;
		for (left = 0, k = 0; k < ZSFUZZ_PAGES; k++)
			left += has_left(&pages[k], pages[i].zspage);
		if (left == pages[i].inuse)
			zsf_zspage_gone(s, pages[i].zspage);
	}
	for (i = 0; i < ZSFUZZ_PAGES; i++)
		pages[i].zspage = NULL;
}

static void page_went_out(struct zsf_session *s, unsigned int number, u64 entry,
			  struct zsfuzz_result *res)
{
	struct zsf_page *page = &s->swap.pages[number];
	struct zsf_place place;
	struct stored at;

	forget_zspages(s);
	zsf_zspages_prune(s, ZSFUZZ_ZSWAP_POOL);
	zsf_zspages_prune(s, ZSFUZZ_ZRAM_POOL);
	if (!entry) {
		res->ret = -EAGAIN;	/* it is in memory still */
		return;
	}
	entry &= BIT(ENTRY_BITS) - 1;
	if (!entry_is_on_disk(entry)) {
		res->ret = -ERANGE;
		return;
	}
	page->swapped = true;
	page->entry = entry;
	at = find(page);
	if (!at.pool)
		return;
	if (!describe(s, &at, &place, res)) {
		res->ret = -EFAULT;
		return;
	}
	zsf_describe_zspage(&place, res);
	res->value = at.length;
	if (at.pool == ZSFUZZ_ZRAM_POOL)
		res->value |= ZSFUZZ_ON_DISK;
}

static void process_ended(struct zsf_session *s, unsigned int cgroup)
{
	unsigned int i;

	s->swap.processes &= ~(1u << cgroup);
	for (i = 0; i < ZSFUZZ_PAGES; i++)
		if (s->swap.pages[i].live && s->swap.pages[i].cgroup == cgroup)
			s->swap.pages[i].live = s->swap.pages[i].swapped = false;
}

/* ---- what zswap did for a cgroup ----------------------------------------- */

typedef unsigned long (*memcg_events_fn)(struct mem_cgroup *memcg, int event);

/* Since the cgroup was made, its descendants' included; zsf_cgroups_flush() goes before. */
static struct zsf_events events_of(unsigned int cgroup)
{
	memcg_events_fn events = (memcg_events_fn)ZSL_SYMBOL(memcg_events);
	struct mem_cgroup *memcg = zsf_cgroups[cgroup].memcg;

	return (struct zsf_events) {
		.in	= events(memcg, ZSWPIN),
		.out	= events(memcg, ZSWPOUT),
		.back	= events(memcg, ZSWPWB),
	};
}

/* The agent is about to write a page. */
void zsf_swap_begin(struct zsf_session *s)
{
	unsigned int i;

	if (s->swap.used)
		return;
	s->swap.used = s->swap.undrained = true;
	zsf_cgroups_flush();
	for (i = 0; i < ZSFUZZ_CGROUPS; i++)
		if (zsf_cgroups[i].live)
			s->swap.events[i] = events_of(i);
}

/* c<number> was made: nothing was done for it yet. */
void zsf_swap_joined(struct zsf_session *s, unsigned int number)
{
	s->swap.events[number] = (struct zsf_events) { 0 };
}

/* The files must say what memcg_page_state() says; memory.stat has pages in bytes. */
static int compare_files(unsigned int cgroup, const u32 *numbers)
{
	struct zsf_events events;
	struct zsf_charge charge;

	zsf_cgroups_flush();
	zsf_cgroup_read(cgroup, &charge);
	events = events_of(cgroup);
	if (numbers[ZSFUZZ_ZSWAP_CURRENT] != charge.zswap ||
	    numbers[ZSFUZZ_STAT_ZSWAP] != charge.zswap ||
	    numbers[ZSFUZZ_STAT_ZSWAPPED] != charge.zswapped * PAGE_SIZE ||
	    numbers[ZSFUZZ_STAT_ZSWAP_INCOMP] != charge.incompressible * PAGE_SIZE ||
	    numbers[ZSFUZZ_STAT_ZSWPIN] != events.in ||
	    numbers[ZSFUZZ_STAT_ZSWPOUT] != events.out ||
	    numbers[ZSFUZZ_STAT_ZSWPWB] != events.back)
		return -EBADMSG;
	return 0;
}

static void put_events(struct zsf_session *s, unsigned int cgroup, struct zsf_out *out)
{
	struct zsfuzz_snap_events *snap = zsf_out(out, sizeof(*snap));
	struct zsf_events *before = &s->swap.events[cgroup];
	struct zsf_events now = events_of(cgroup);

	if (!snap)
		return;
	snap->kind = ZSFUZZ_SNAP_EVENTS;
	snap->cgroup = cgroup;
	snap->zswpin = now.in - before->in;
	snap->zswpout = now.out - before->out;
	snap->zswpwb = now.back - before->back;
}

/* zsf_cgroups_flush() goes before. */
void zsf_swap_put_events(struct zsf_session *s, struct zsf_out *out)
{
	unsigned int i;

	for (i = 0; i < ZSFUZZ_CGROUPS; i++)
		if (zsf_cgroups[i].live)
			put_events(s, i, out);
}

/* Takes the agent's answer, which is that it succeeded. */
void zsf_swap_finish(struct zsf_session *s, const struct zsf_call *call,
		     const struct zsfuzz_agent_request *req, struct zsfuzz_result *res)
{
	struct zsf_page *page = &s->swap.pages[call->page];

	switch (call->action) {
	case ZSFUZZ_AGENT_PAGE_WRITE:
		if (!page->live) {
			page->cgroup = call->cgroup;
			s->swap.processes |= 1u << call->cgroup;
		}
		page->live = true;
		page->swapped = false;
		describe_after(s, res);
		break;
	case ZSFUZZ_AGENT_PAGE_OUT:
		page_went_out(s, call->page, req->entry, res);
		break;
	case ZSFUZZ_AGENT_PAGE_IN:
		page->swapped = false;
		res->value = req->value;
		describe_after(s, res);
		break;
	case ZSFUZZ_AGENT_PAGE_DROP:
		page->live = page->swapped = false;
		describe_after(s, res);
		break;
	case ZSFUZZ_AGENT_PAGE_EXIT:
		process_ended(s, call->cgroup);
		break;
	case ZSFUZZ_AGENT_STAT_FILES:
		res->ret = compare_files(call->cgroup, req->numbers);
		res->value = req->numbers[ZSFUZZ_ZSWAP_CURRENT];
		res->tags = req->numbers[ZSFUZZ_ZSWAP_CURRENT] >> 16;
		res->inuse = req->numbers[ZSFUZZ_STAT_ZSWAPPED] >> PAGE_SHIFT;
		res->index = req->numbers[ZSFUZZ_STAT_ZSWAP_INCOMP] >> PAGE_SHIFT;
		return;
	}
	number_zspages(s);
}

/* ---- operations that the agent carries out -------------------------------- */

bool zsf_swap_has_process(struct zsf_session *s, unsigned int cgroup)
{
	return s->swap.processes >> cgroup & 1;
}

static int op_page_write(struct zsf_session *s, const struct zsfuzz_op *op,
			 struct zsfuzz_result *res, struct zsf_call *call)
{
	unsigned int number = op->object % ZSFUZZ_PAGES;

	if (!s->swap.pages[number].live) {
		if (!zsf_cgroups[op->owner].live)
			return -ESRCH;
		if (op->owner && zsf_cgroup_has_child(op->owner))
			return -EBUSY;
	}
	describe_before(s, number, res);
	call->action = ZSFUZZ_AGENT_PAGE_WRITE;
	call->cgroup = op->owner;
	call->page = number;
	call->arg = op->arg % ZSFUZZ_PATTERNS;
	return 0;
}

static int op_page_out(struct zsf_session *s, const struct zsfuzz_op *op,
		       struct zsf_call *call)
{
	struct zsf_page *page = &s->swap.pages[op->object % ZSFUZZ_PAGES];

	if (!page->live)
		return -ENOENT;
	if (page->swapped)
		return -EALREADY;
	remember_zspages(s);
	call->action = ZSFUZZ_AGENT_PAGE_OUT;
	call->page = op->object % ZSFUZZ_PAGES;
	return 0;
}

static int op_page_away(struct zsf_session *s, const struct zsfuzz_op *op, u32 action,
			struct zsfuzz_result *res, struct zsf_call *call)
{
	unsigned int number = op->object % ZSFUZZ_PAGES;

	if (!s->swap.pages[number].live)
		return -ENOENT;
	describe_before(s, number, res);
	call->action = action;
	call->page = number;
	call->arg = op->arg & 1;
	return 0;
}

static int op_page_exit(struct zsf_session *s, const struct zsfuzz_op *op,
			struct zsf_call *call)
{
	if (!zsf_swap_has_process(s, op->owner))
		return -ESRCH;
	call->action = ZSFUZZ_AGENT_PAGE_EXIT;
	call->cgroup = op->owner;
	return 0;
}

static int op_stat_files(const struct zsfuzz_op *op, struct zsf_call *call)
{
	if (!zsf_cgroups[op->owner].live)
		return -ESRCH;
	if (!op->owner)
		return -EPERM;		/* the root has no memory.zswap.current */
	/* Reading them flushes only once some number of changes has piled up. */
	zsf_cgroups_flush();
	call->action = ZSFUZZ_AGENT_STAT_FILES;
	call->cgroup = op->owner;
	return 0;
}

/* ---- operations that need no agent ---------------------------------------- */

/*
 * The worker begins with the cgroup after this one, of whatever program.
 * zswap_shrink_lock cannot be had; nobody has it, as the worker was flushed, and on
 * one CPU without preemption nobody takes it meanwhile.
 */
static void forget_next_shrink(void)
{
	struct mem_cgroup **next = ZSL_SYMBOL(zswap_next_shrink);

	if (*next)
		css_put(&(*next)->css);
	*next = NULL;
}

/*
 * As when the pool's limit is reached: the worker writes pages back, and is
 * asked again until there is none left: 16 pages that get a second chance are
 * all that one round may come to.
 */
static int op_writeback(struct zsf_session *s, struct zsfuzz_result *res)
{
	unsigned int *percent = ZSL_SYMBOL(zswap_max_pool_percent);
	struct workqueue_struct **queue = ZSL_SYMBOL(shrink_wq);
	struct work_struct *work = ZSL_SYMBOL(zswap_shrink_work);
	unsigned int before = *percent, rounds = 0;
	unsigned long stored = stored_pages();

	forget_next_shrink();
	WRITE_ONCE(*percent, 0);
	while (stored_pages() && rounds++ < MAX_ROUNDS) {
		queue_work(*queue, work);
		flush_work(work);
	}
	WRITE_ONCE(*percent, before);
	forget_next_shrink();
	res->value = stored - stored_pages();
	res->inuse = stored_pages();
	number_zspages(s);
	return 0;
}

static int op_swap_compact(struct zsf_session *s, const struct zsfuzz_op *op,
			   struct zsfuzz_result *res)
{
	unsigned int pool = op->arg & 1 ? ZSFUZZ_ZRAM_POOL : ZSFUZZ_ZSWAP_POOL;
	unsigned long places[ZSFUZZ_PAGES] = { 0 };
	unsigned int i;

	for (i = 0; i < ZSFUZZ_PAGES; i++) {
		struct stored at = find(&s->swap.pages[i]);

		if (at.pool == pool)
			places[i] = zsl_handle_obj(at.handle);
	}
	res->value = zs_compact(s->pools[pool].zs);
	for (i = 0; i < ZSFUZZ_PAGES; i++)
		if (places[i] &&
		    zsl_handle_obj(find(&s->swap.pages[i]).handle) != places[i])
			res->inuse++;
	number_zspages(s);
	return 0;
}

int zsf_swap_op(struct zsf_session *s, const struct zsfuzz_op *op,
		struct zsfuzz_result *res, struct zsf_call *call)
{
	/* Neither has a file of debugfs, nor the ring before all was ready. */
	if (!s->pools[ZSFUZZ_ZSWAP_POOL].zs)
		return -EOPNOTSUPP;
	switch (op->op) {
	case ZSFUZZ_PAGE_WRITE:
		return op_page_write(s, op, res, call);
	case ZSFUZZ_PAGE_OUT:
		return op_page_out(s, op, call);
	case ZSFUZZ_PAGE_IN:
		return op_page_away(s, op, ZSFUZZ_AGENT_PAGE_IN, res, call);
	case ZSFUZZ_PAGE_DROP:
		return op_page_away(s, op, ZSFUZZ_AGENT_PAGE_DROP, res, call);
	case ZSFUZZ_PAGE_EXIT:
		return op_page_exit(s, op, call);
	case ZSFUZZ_WRITEBACK:
		return op_writeback(s, res);
	case ZSFUZZ_SWAP_COMPACT:
		return op_swap_compact(s, op, res);
	case ZSFUZZ_STAT_FILES:
		return op_stat_files(op, call);
	}
	return -EINVAL;
}

/* ---- cgroups that are removed --------------------------------------------- */

/* c<number> was removed: its process is in the root cgroup, its pages stay where they are. */
void zsf_swap_cgroup_removed(struct zsf_session *s, unsigned int number)
{
	unsigned int i;

	if (zsf_cgroups[number].live)
		return;
	s->swap.processes &= ~(1u << number);
	for (i = 0; i < ZSFUZZ_PAGES; i++)
		if (s->swap.pages[i].cgroup == number)
			s->swap.pages[i].cgroup = ZSFUZZ_NO_OWNER;
}

/* ---- snapshot -------------------------------------------------------------- */

static void put_page_record(struct zsf_session *s, unsigned int number, struct zsf_out *out)
{
	struct zsfuzz_snap_page *snap = zsf_out(out, sizeof(*snap));
	struct zsf_page *page = &s->swap.pages[number];
	struct stored at = find(page);
	struct zsfuzz_result res;
	struct zsf_place place;

	if (!snap)
		return;
	snap->kind = ZSFUZZ_SNAP_PAGE;
	snap->page = number;
	snap->zspage = ZSFUZZ_NONE16;
	snap->index = ZSFUZZ_NONE8;
	snap->owner = ZSFUZZ_NONE8;
	snap->where = page->swapped ? ZSFUZZ_NOWHERE : ZSFUZZ_IN_MEMORY;
	if (!at.pool)
		return;
	snap->where = at.pool == ZSFUZZ_ZSWAP_POOL ? ZSFUZZ_IN_ZSWAP : ZSFUZZ_ON_DEVICE;
	snap->length = at.length;
	if (!describe(s, &at, &place, &res))
		return;
	snap->zspage = res.zspage;
	snap->index = res.index;
	snap->owner = res.owner;
}

void zsf_swap_put_pages(struct zsf_session *s, struct zsf_out *out)
{
	unsigned int i;

	for (i = 0; i < ZSFUZZ_PAGES; i++)
		if (s->swap.pages[i].live)
			put_page_record(s, i, out);
}

#else /* no zswap, no zram, or ones that are laid out otherwise */

int zsf_swap_sample(const struct zsfuzz_swap_sample *sample)
{
	return -EOPNOTSUPP;
}

bool zsf_swap_ready(void)
{
	return false;
}

u32 zsf_swap_length(unsigned int pattern, bool on_disk)
{
	return 0;
}

void zsf_swap_reset(struct zsf_session *s)
{
}

bool zsf_swap_has_process(struct zsf_session *s, unsigned int cgroup)
{
	return false;
}

int zsf_swap_op(struct zsf_session *s, const struct zsfuzz_op *op,
		struct zsfuzz_result *res, struct zsf_call *call)
{
	return -EOPNOTSUPP;
}

void zsf_swap_finish(struct zsf_session *s, const struct zsf_call *call,
		     const struct zsfuzz_agent_request *req, struct zsfuzz_result *res)
{
}

void zsf_swap_begin(struct zsf_session *s)
{
}

void zsf_swap_joined(struct zsf_session *s, unsigned int number)
{
}

void zsf_swap_cgroup_removed(struct zsf_session *s, unsigned int number)
{
}

void zsf_swap_put_events(struct zsf_session *s, struct zsf_out *out)
{
}

void zsf_swap_put_pages(struct zsf_session *s, struct zsf_out *out)
{
}

u8 zsf_swap_leftovers(struct zsf_session *s)
{
	return 0;
}

#endif
