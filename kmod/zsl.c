// SPDX-License-Identifier: GPL-2.0-only
/* Finds out what the kernel's macros hide from DWARF. */
#include <linux/err.h>
#include <linux/log2.h>

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

#if ZSL_ZS_CREATE_POOL_ARGS == 1
	pool = zs_create_pool("zsfuzz-probe");
#else
	pool = zs_create_pool("zsfuzz-probe", false);
#endif
	if (!pool)
		return ret;
	find_classes(pool);
	handle = zs_malloc(pool, 1000, GFP_KERNEL, NUMA_NO_NODE);
	if (!IS_ERR_VALUE(handle)) {
		ret = find_encoding(handle,
				    zsl_class(pool, zs_lookup_class_index(pool, 1000)));
		zs_free(pool, handle);
	}
	zs_destroy_pool(pool);
	return ret;
}
