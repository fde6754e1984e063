// SPDX-License-Identifier: GPL-2.0-only
/* The canonical snapshot of docs/PROGRAM.md: no pointers, no page numbers. */
#include <linux/mm.h>
#include <linux/string.h>

#include "zsfuzz.h"
#include "zsl.h"

/* The bit that obj_malloc() sets in a slot's header, and obj_free() clears. */
#define HEADER_IN_USE	1UL

/* Room for @bytes, zeroed; NULL when they do not fit. */
void *zsf_out(struct zsf_out *out, size_t bytes)
{
	void *at = out->pos;

	if (out->full || bytes > out->end - out->pos) {
		out->full = true;
		return NULL;
	}
	out->pos += bytes;
	memset(at, 0, bytes);
	return at;
}

static void out_align(struct zsf_out *out, size_t bytes)
{
	zsf_out(out, -(uintptr_t)out->pos & (bytes - 1));
}

/* ---- zspages ----------------------------------------------------------- */

static void *slot_of(void *zspage, void *class, unsigned int index)
{
	unsigned int at = index * zsl_class_size(class);

	return page_address(zsl_zspage_page(zspage, at >> PAGE_SHIFT)) +
	       offset_in_page(at);
}

/* The word by which zsmalloc tells a free slot from one that is in use; all pages are there. */
static unsigned long header_of(void *zspage, void *class, unsigned int index)
{
	if (ZSL_BITS(zspage, zspage_huge))
		return ZSL_FIELD(unsigned long, zsl_zspage_page(zspage, 0),
				 zpdesc_handle);
	return *(unsigned long *)slot_of(zspage, class, index);
}

/* A slot that looks in use ends the list: migration would move what is not there. */
static void put_free_list(void *zspage, void *class, u8 *to, unsigned int count)
{
	unsigned int objs = zsl_class_objs(class);
	unsigned long header, index = ZSL_FIELD(unsigned int, zspage, zspage_freeobj);
	unsigned int i;

	for (i = 0; i < count; i++) {
		header = index < objs ? header_of(zspage, class, index) : HEADER_IN_USE;
		if (header & HEADER_IN_USE) {
			memset(to + i, ZSFUZZ_NONE8, count - i);
			return;
		}
		to[i] = index;
		index = header >> 1;
	}
}

static void put_states(void *zspage, u8 *to, unsigned int pages)
{
	unsigned int k;

	for (k = 0; k < pages; k++)
		to[k] = zsl_page_state(zsl_zspage_page(zspage, k));
}

/* The bytes that put_owners() needs: none if no array is there. */
static unsigned int count_owners(void *zspage, void *class)
{
	unsigned int k, arrays = zsl_owner_arrays(class), count = 0;
	bool any = false;

	for (k = 0; k < arrays; k++) {
		any |= zsl_owner_array(zspage, k) != NULL;
		count += zsl_array_last(class, k) - zsl_array_first(class, k) + 1;
	}
	return any ? count : 0;
}

/* Entries of an array that is missing read as empty. */
static void put_owners(void *zspage, void *class, u8 *to)
{
	unsigned int k, i, arrays = zsl_owner_arrays(class);
	struct obj_cgroup *owner, *last = NULL;
	u8 number = ZSFUZZ_NONE8;

	for (k = 0; k < arrays; k++) {
		for (i = zsl_array_first(class, k); i <= zsl_array_last(class, k); i++) {
			owner = zsl_owner(zspage, class, k, i);
			if (owner != last) {
				last = owner;
				number = zsf_cgroup_number(owner);
			}
			*to++ = number;
		}
	}
}

static void put_zspage(struct zsf_session *s, unsigned int pool, void *class,
		       void *zspage, struct zsf_out *out)
{
	struct zsfuzz_snap_zspage *snap = zsf_out(out, sizeof(*snap));
	unsigned int objs = zsl_class_objs(class), pages = zsl_class_pages(class);
	unsigned int inuse = ZSL_FIELD(unsigned int, zspage, zspage_inuse);
	bool whole;
	u8 *bytes;

	if (!snap)
		return;
	snap->kind = ZSFUZZ_SNAP_ZSPAGE;
	snap->group = ZSL_BITS(zspage, zspage_fullness);
	snap->zspage = zsf_zspage_number(s, zspage, pool);
	snap->inuse = inuse;
	snap->pages = zsl_zspage_length(zspage, pages);
	whole = snap->pages == pages;
	snap->free_bytes = whole && inuse <= objs ? objs - inuse : 0;
	snap->owner_bytes = whole ? count_owners(zspage, class) : 0;
	bytes = zsf_out(out, snap->free_bytes + snap->pages + snap->owner_bytes);
	if (!bytes)
		return;
	put_free_list(zspage, class, bytes, snap->free_bytes);
	bytes += snap->free_bytes;
	put_states(zspage, bytes, snap->pages);
	if (snap->owner_bytes)
		put_owners(zspage, class, bytes + snap->pages);
	out_align(out, 4);
}

/* ---- classes and pools ------------------------------------------------- */

static void put_class(struct zsf_session *s, unsigned int pool, void *class,
		      struct zsf_out *out)
{
	struct zsfuzz_snap_class *snap = zsf_out(out, sizeof(*snap));
	unsigned int group;

	if (!snap)
		return;
	snap->kind = ZSFUZZ_SNAP_CLASS;
	snap->class = zsl_class_index(class);
	snap->allocated = zsl_class_stat(class, ZSL_ENUM_ZS_OBJS_ALLOCATED);
	snap->inuse = zsl_class_stat(class, ZSL_ENUM_ZS_OBJS_INUSE);
	for (group = 0; group < ZSL_ENUM_NR_FULLNESS_GROUPS; group++) {
		struct list_head *pos, *list = zsl_class_list(class, group);
		unsigned long length = 0;

		list_for_each(pos, list) {
			put_zspage(s, pool, class, zsl_zspage_of_list(pos), out);
			if (++length > ZSF_MAX_ZSPAGES)	/* a broken list */
				break;
		}
		if (length != zsl_class_stat(class, group))
			snap->bad_groups |= 1u << group;
	}
}

static void put_pool(struct zsf_session *s, unsigned int number, struct zsf_out *out)
{
	struct zsfuzz_snap_pool *snap = zsf_out(out, sizeof(*snap));
	struct zsf_pool *pool = &s->pools[number];
	struct zsf_totals totals;
	unsigned int i;

	if (!snap)
		return;
	snap->kind = ZSFUZZ_SNAP_POOL;
	snap->pool = number;
	snap->aware = pool->aware;
	snap->pages = zs_get_total_pages(pool->zs);
	snap->compacted = zsf_pool_compacted(pool);
	for (i = 0; i < zsl_nr_classes; i++) {
		void *class = zsl_class(pool->zs, zsl_classes[i]);

		if (zsl_class_stat(class, ZSL_ENUM_ZS_OBJS_ALLOCATED) ||
		    zsl_class_stat(class, ZSL_ENUM_ZS_OBJS_INUSE))
			put_class(s, number, class, out);
	}
	if (pool->show_rows)
		zsf_classes_read(s, number, out, &totals);
}

/* ---- objects and cgroups ----------------------------------------------- */

static bool has_header(const struct zsf_place *at, unsigned long handle)
{
	unsigned int pages = zsl_class_pages(at->class);

	return at->index < zsl_class_objs(at->class) &&
	       zsl_zspage_length(at->zspage, pages) == pages &&
	       header_of(at->zspage, at->class, at->index) == (handle | HEADER_IN_USE);
}

static void put_object(struct zsf_session *s, unsigned int number, struct zsf_out *out)
{
	struct zsfuzz_snap_object *snap = zsf_out(out, sizeof(*snap));
	struct zsf_object *o = &s->objects[number];
	struct zsf_place at = zsf_locate(s, o);

	if (!snap)
		return;
	snap->kind = ZSFUZZ_SNAP_OBJECT;
	snap->object = number;
	snap->length = o->length;
	snap->pattern = ZSFUZZ_BAD_HEADER;
	snap->zspage = ZSFUZZ_NONE16;
	if (!at.zspage)
		return;
	snap->index = at.index;
	snap->zspage = zsf_zspage_number(s, at.zspage, o->pool);
	if (has_header(&at, o->handle))
		snap->pattern = zsf_object_contents(s, o, false);
}

static void put_cgroup(unsigned int number, struct zsf_out *out)
{
	struct zsfuzz_snap_cgroup *snap = zsf_out(out, sizeof(*snap));
	struct zsf_charge charge;

	if (!snap)
		return;
	zsf_cgroup_read(number, &charge);
	snap->kind = ZSFUZZ_SNAP_CGROUP;
	snap->cgroup = number;
	snap->zswap = charge.zswap;
	snap->zswapped = charge.zswapped;
	snap->incompressible = charge.incompressible;
	snap->zswap_max = zsf_cgroup_limit_of(number);
}

/* Everything as the program left it. */
void zsf_snapshot(struct zsf_session *s, struct zsf_out *out)
{
	unsigned int i;

	for (i = 0; i < ZSFUZZ_POOLS; i++)
		if (s->pools[i].zs)
			put_pool(s, i, out);
	for (i = ZSFUZZ_POOLS; s->swap.used && i < ZSF_ALL_POOLS; i++)
		put_pool(s, i, out);
	for (i = 0; i < s->top_object; i++)
		if (s->objects[i].live)
			put_object(s, i, out);
	if (s->swap.used)
		zsf_swap_put_pages(s, out);
	if (!(zsf_features() & ZSFUZZ_HAS_MEMCG))
		return;
	zsf_cgroups_flush();
	for (i = 1; i < ZSFUZZ_CGROUPS; i++)
		if (zsf_cgroups[i].live)
			put_cgroup(i, out);
	if (s->swap.used)
		zsf_swap_put_events(s, out);
}

/* ---- the end ----------------------------------------------------------- */

static u8 class_left(void *class)
{
	unsigned int i;

	for (i = 0; i < ZSL_ENUM_NR_FULLNESS_GROUPS; i++)
		if (!list_empty(zsl_class_list(class, i)))
			return ZSFUZZ_LEFT_OBJECTS;
	for (i = 0; i <= ZSL_ENUM_ZS_OBJS_INUSE; i++)
		if (zsl_class_stat(class, i))
			return ZSFUZZ_LEFT_COUNTS;
	return 0;
}

static u8 pool_left(struct zsf_pool *pool)
{
	unsigned int i;
	u8 left = 0;

	if (zs_get_total_pages(pool->zs))
		left |= ZSFUZZ_LEFT_PAGES;
	for (i = 0; i < zsl_nr_classes; i++)
		left |= class_left(zsl_class(pool->zs, zsl_classes[i]));
	return left;
}

/* Frees everything, and says what did not go away. */
void zsf_snapshot_end(struct zsf_session *s, struct zsf_out *out)
{
	struct zsfuzz_snap_end *snap = zsf_out(out, sizeof(*snap));
	struct zsf_charge charge;
	unsigned int i;

	zsf_session_drain(s);
	out_align(out, 8);
	if (!snap)
		return;
	snap->kind = ZSFUZZ_SNAP_END;
	for (i = 0; i < ZSFUZZ_POOLS; i++)
		if (s->pools[i].zs)
			snap->left |= pool_left(&s->pools[i]);
	for (i = ZSFUZZ_POOLS; s->swap.used && i < ZSF_ALL_POOLS; i++)
		snap->left |= pool_left(&s->pools[i]);
	if (s->swap.used)
		snap->left |= zsf_swap_leftovers(s);
	zsf_cgroups_flush();
	zsf_cgroups_left(&charge);
	snap->zswap = charge.zswap;
	if (charge.zswap || charge.zswapped || charge.incompressible)
		snap->left |= ZSFUZZ_LEFT_CHARGE;
	if (zsf_zspages(s))
		snap->left |= ZSFUZZ_LEFT_VMSTAT;
}
