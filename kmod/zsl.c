// SPDX-License-Identifier: GPL-2.0-only
/* Finds out what the kernel's macros hide from DWARF. */
#include <linux/err.h>
#include <linux/log2.h>
#include <linux/sched/mm.h>

#include "zsfuzz.h"
#include "zsl.h"

unsigned int zsl_pfn_shift;
unsigned int zsl_index_bits;
u8 zsl_classes[ZSL_SIZE_CLASSES];
unsigned int zsl_nr_classes;
unsigned int zsl_min_alloc_size;

static void find_classes(struct zs_pool *pool)
{
	unsigned int i;

	zsl_min_alloc_size = PAGE_SIZE - (ZSL_SIZE_CLASSES - 1) * (PAGE_SIZE >> 8);
	zsl_nr_classes = 0;
	for (i = 0; i < ZSL_SIZE_CLASSES; i++)
		if (zsl_class_index(zsl_class(pool, i)) == i)
			zsl_classes[zsl_nr_classes++] = i;
}

/* Of a class that has just one. */
static void *only_zspage(void *class)
{
	unsigned int group;

	for (group = 1; group < ZSL_ENUM_NR_FULLNESS_GROUPS; group++) {
		struct list_head *list = zsl_class_list(class, group);

		if (!list_empty(list))
			return zsl_zspage_of_list(list->next);
	}
	return NULL;
}

/*
 * The word behind a handle is (PFN, perhaps the class, index of the object).
 * The first object of a fresh zspage has index 0 and lies in its first page.
 */
static int find_encoding(unsigned long handle, void *class)
{
	unsigned long obj = zsl_handle_obj(handle), rest;
	void *zspage = only_zspage(class);
	unsigned long pfn;

	if (!zspage)
		return -ENOEXEC;
	pfn = page_to_pfn(zsl_zspage_page(zspage, 0));
	for (zsl_pfn_shift = 1; zsl_pfn_shift < BITS_PER_LONG; zsl_pfn_shift++)
		if (obj >> zsl_pfn_shift == pfn)
			break;
	if (zsl_pfn_shift == BITS_PER_LONG)
		return -ENOEXEC;

	rest = obj & ((1UL << zsl_pfn_shift) - 1);
	zsl_index_bits = zsl_pfn_shift;
	if (rest) {
		if (rest % zsl_class_index(class) ||
		    !is_power_of_2(rest / zsl_class_index(class)))
			return -ENOEXEC;
		zsl_index_bits = ilog2(rest / zsl_class_index(class));
	}
	if (zsl_page_zspage(zsl_obj_page(obj)) != zspage)
		return -ENOEXEC;
	return 0;
}

/* Returns -ENOEXEC if the layout that was compiled in does not fit. */
int zsl_calibrate(void)
{
	struct zs_pool *pool;
	unsigned long handle;
	int ret = -ENOMEM;

	pool = zsl_create_pool("zsfuzz-probe", false);
	if (!pool)
		return ret;
	find_classes(pool);
	handle = zsl_malloc(pool, 1000, GFP_KERNEL, NUMA_NO_NODE, NULL, false);
	if (!IS_ERR_VALUE(handle)) {
		ret = find_encoding(handle,
				    zsl_class(pool, zs_lookup_class_index(pool, 1000)));
		zsl_free(pool, handle, 1000, NULL);
	}
	zs_destroy_pool(pool);
	return ret;
}

/* ---- pools that keep no owners -------------------------------------------- */

static struct zs_pool *bare[ZSFUZZ_POOLS + 1];	/* and the disk's */

void zsl_note_bare(struct zs_pool *pool)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bare) && !zsl_is_bare(pool); i++)
		if (!bare[i])
			bare[i] = pool;
}

void zsl_forget_bare(struct zs_pool *pool)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bare); i++)
		if (bare[i] == pool)
			bare[i] = NULL;
}

bool zsl_is_bare(struct zs_pool *pool)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bare); i++)
		if (bare[i] == pool)
			return true;
	return false;
}

/* ---- where owners are ---------------------------------------------------- */

struct zsl_entries zsl_entries = { .tail = true };
enum zsfuzz_owners zsl_owners;

#if ZSL_HAS_OWNERS && ZSL_IS_FOREIGN
/* Class 480: 17 objects on two pages; object 8 lies on both, object 9 begins the second. */
#define PROBE_SIZE	472
#define PROBE_OBJECTS	17
#define PROBE_SPANS	8
#define PROBE_ENTRIES	10	/* of an array that are there in any case */

static u8 probe_data[PAGE_SIZE];

static unsigned long probe_malloc(struct zs_pool *pool, size_t size, struct obj_cgroup *objcg)
{
	return zsl_malloc(pool, size, GFP_KERNEL, numa_node_id(), objcg, true);
}

/* An array that is none may begin anywhere. */
static bool is_readable(void *array)
{
	return virt_addr_valid(array) || is_vmalloc_addr(array);
}

static int find_entry(void *array, int entries, struct obj_cgroup *objcg)
{
	int i;

	for (i = 0; array && is_readable(array) && i < entries; i++)
		if (zsl_read_entry(array, i) == objcg)
			return i;
	return -1;
}

/* Notes whether any array of an object's zspage, at any entry, has @objcg. */
static void look_around(struct zs_pool *pool, unsigned long handle, size_t size,
			struct obj_cgroup *objcg)
{
	void *class = zsl_class(pool, zs_lookup_class_index(pool, size));
	void *zspage = zsl_handle_zspage(handle);
	unsigned int k;

	if (zsl_owners == ZSFUZZ_OWNERS_UNTRIED)
		zsl_owners = ZSFUZZ_OWNERS_NOT_SEEN;
	for (k = 0; zspage && k < zsl_owner_arrays(class); k++) {
		int entries = zsl_array_last(class, k) - zsl_array_first(class, k) + 1;

		if (find_entry(zsl_owner_array(zspage, k), entries, objcg) >= 0)
			zsl_owners = ZSFUZZ_OWNERS_SEEN;
	}
}

/* Where the owner of object @index is entered in array @k, if the others have none. */
static int probe_one(struct zs_pool *pool, unsigned int index, unsigned int k,
		     struct obj_cgroup *objcg)
{
	unsigned long handles[PROBE_OBJECTS];
	unsigned int i, n;
	void *zspage;
	int entry = -1;

	for (n = 0; n < PROBE_OBJECTS; n++) {
		handles[n] = probe_malloc(pool, PROBE_SIZE, n == index ? objcg : NULL);
		if (IS_ERR_VALUE(handles[n]))
			break;
	}
	if (n == PROBE_OBJECTS) {
		zsl_write(pool, handles[index], probe_data, PROBE_SIZE, objcg);
		look_around(pool, handles[index], PROBE_SIZE, objcg);
		zspage = zsl_handle_zspage(handles[0]);
		if (zspage)
			entry = find_entry(zsl_owner_array(zspage, k), PROBE_ENTRIES, objcg);
		if (entry >= 0)
			zsl_owners = ZSFUZZ_OWNERS_SEEN;
	}
	for (i = 0; i < n; i++)
		zsl_free(pool, handles[i], PROBE_SIZE, i == index ? objcg : NULL);
	return entry;
}

/* A bug may hide the owners of objects of some sizes; of all it is no bug. */
static void probe_sizes(struct zs_pool *pool, struct obj_cgroup *objcg)
{
	static const u16 sizes[] = { 100, 2040, 3300, PAGE_SIZE };
	unsigned long handle;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		handle = probe_malloc(pool, sizes[i], objcg);
		if (IS_ERR_VALUE(handle))
			continue;
		zsl_write(pool, handle, probe_data, sizes[i], objcg);
		look_around(pool, handle, sizes[i], objcg);
		zsl_free(pool, handle, sizes[i], objcg);
	}
}

#if ZSL_DESIGN == 2
static void find_entries(struct zs_pool *pool, struct obj_cgroup *objcg)
{
	int first = probe_one(pool, 0, 0, objcg);
	int later = probe_one(pool, PROBE_SPANS + 1, 1, objcg);
	int tail = probe_one(pool, PROBE_SPANS, 1, objcg);

	if (first < 0 || later < 0) {
		pr_warn("zsfuzz: owners are not where they are looked for (%d, %d)\n", first, later);
		return;
	}
	zsl_entries.by_zspage = later == PROBE_SPANS + 1;
	zsl_entries.first = first;
	zsl_entries.later = later - 1;
	/* An entry that there is for a tail, and that nobody fills, is no custom. */
	if (zsl_entries.by_zspage)
		zsl_entries.tail = tail == PROBE_SPANS;
	else
		zsl_entries.tail = zsl_entries.later >= 0 && (tail < 0 || tail == zsl_entries.later);
	if (zsl_entries.first || zsl_entries.later || zsl_entries.by_zspage || !zsl_entries.tail)
		pr_info("zsfuzz: entries of a page: first %d, later %d, by zspage %d, of tails %d\n",
			zsl_entries.first, zsl_entries.later, zsl_entries.by_zspage,
			zsl_entries.tail);
}
#else
static void find_entries(struct zs_pool *pool, struct obj_cgroup *objcg)
{
	probe_one(pool, 0, 0, objcg);
	probe_one(pool, PROBE_SPANS + 1, 0, objcg);
}
#endif

/*
 * Trees differ in this; of our own series it is known, and must not be asked: a bug in it would be
 * taken for a custom.  @objcg has to be one that is charged: roots may be left out.
 */
void zsl_find_owners(struct obj_cgroup *objcg)
{
	struct zs_pool *pool;
	unsigned int flags;
	static bool done;

	if (done)
		return;
	done = true;
	pool = zsl_create_pool("zsfuzz-entries", true);
	if (!pool)
		return;
	flags = memalloc_noreclaim_save();
	find_entries(pool, objcg);
	if (zsl_owners != ZSFUZZ_OWNERS_SEEN)
		probe_sizes(pool, objcg);
	memalloc_noreclaim_restore(flags);
	zs_destroy_pool(pool);
}
#else
void zsl_find_owners(struct obj_cgroup *objcg)
{
}
#endif
