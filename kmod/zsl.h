/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * zsmalloc's private structures, reached through the offsets that
 * zsfuzz_layout.h has from the DWARF of the kernel that this module runs on.
 *
 * No lock of zsmalloc's is taken to look at them: on one CPU and without
 * preemption nothing else runs meanwhile, and programs leave no page isolated
 * and no worker running.  Programs have one outcome on such a kernel only.
 */
#ifndef ZSL_H
#define ZSL_H

#include <linux/list.h>
#include <linux/mm.h>
#include <linux/spinlock.h>
#include <linux/zsmalloc.h>

#include "zsfuzz_abi.h"
#include "zsfuzz_layout.h"

#if defined(CONFIG_SMP) || defined(CONFIG_PREEMPTION)
#error "zsfuzz needs a kernel for one CPU, without preemption: programs must have one outcome"
#endif

#define ZSL_FIELD(type, base, where) \
	(*(type *)((char *)(base) + ZSL_OFF_##where))
#define ZSL_BITS(base, where)						\
	((*(u32 *)((char *)(base) + ZSL_BIT_##where) >>			\
	  ZSL_SHIFT_##where) & ((1u << ZSL_WIDTH_##where) - 1))

/* A symbol that is not exported, found by its distance from one that is. */
#define ZSL_SYMBOL(name)	((void *)((char *)zs_malloc + ZSL_SYM_##name))

/* How an object's location is packed into the word behind its handle. */
extern unsigned int zsl_pfn_shift;
extern unsigned int zsl_index_bits;

int zsl_calibrate(void);

/* Size classes that are not an alias of a larger one, in order of index. */
extern u8 zsl_classes[ZSL_SIZE_CLASSES];
extern unsigned int zsl_nr_classes;
extern unsigned int zsl_min_alloc_size;	/* bytes, of the smallest slot */

static inline void *zsl_class(struct zs_pool *pool, unsigned int index)
{
	return (&ZSL_FIELD(void *, pool, zs_pool_size_class))[index];
}

static inline int zsl_class_size(void *class)
{
	return ZSL_FIELD(int, class, size_class_size);
}

static inline int zsl_class_objs(void *class)
{
	return ZSL_FIELD(int, class, size_class_objs_per_zspage);
}

static inline int zsl_class_pages(void *class)
{
	return ZSL_FIELD(int, class, size_class_pages_per_zspage);
}

static inline unsigned int zsl_class_index(void *class)
{
	return ZSL_FIELD(unsigned int, class, size_class_index);
}

static inline unsigned long zsl_class_stat(void *class, unsigned int stat)
{
	return (&ZSL_FIELD(unsigned long, class, size_class_stats))[stat];
}

static inline struct list_head *zsl_class_list(void *class, unsigned int group)
{
	return &ZSL_FIELD(struct list_head, class, size_class_fullness_list) + group;
}

static inline void *zsl_zspage_of_list(struct list_head *entry)
{
	return (char *)entry - ZSL_OFF_zspage_list;
}

/* NULL if the chain of pages is broken before page @k. */
static inline struct page *zsl_zspage_page(void *zspage, unsigned int k)
{
	struct page *page = ZSL_FIELD(struct page *, zspage, zspage_first_zpdesc);

	while (page && k--)
		page = ZSL_FIELD(struct page *, page, zpdesc_next);
	return page;
}

/* How many of a zspage's @pages are there. */
static inline unsigned int zsl_zspage_length(void *zspage, unsigned int pages)
{
	struct page *page = ZSL_FIELD(struct page *, zspage, zspage_first_zpdesc);
	unsigned int k;

	for (k = 0; page && k < pages; k++)
		page = ZSL_FIELD(struct page *, page, zpdesc_next);
	return k;
}

static inline unsigned long zsl_handle_obj(unsigned long handle)
{
	return READ_ONCE(*(unsigned long *)handle);
}

static inline struct page *zsl_obj_page(unsigned long obj)
{
	return pfn_to_page(obj >> zsl_pfn_shift);
}

static inline unsigned int zsl_obj_index(unsigned long obj)
{
	return obj & ((1UL << zsl_index_bits) - 1);
}

static inline void *zsl_page_zspage(struct page *page)
{
	return ZSL_FIELD(void *, page, zpdesc_zspage);
}

/* NULL if the handle leads to nothing that could be a zspage. */
static inline void *zsl_handle_zspage(unsigned long handle)
{
	unsigned long obj = zsl_handle_obj(handle);
	void *zspage;

	if (!pfn_valid(obj >> zsl_pfn_shift))
		return NULL;
	zspage = zsl_page_zspage(zsl_obj_page(obj));
	if (!virt_addr_valid(zspage) ||
	    ZSL_BITS(zspage, zspage_class) >= ZSL_SIZE_CLASSES)
		return NULL;
	return zspage;
}

/*
 * What zspage_read_lock() and zspage_read_unlock() do, but unknown to lockdep:
 * the lock outlives the system call, as that of another task would.
 */
static inline void zsl_zspage_readers(void *zspage, int change)
{
	char *zsl = (char *)zspage + ZSL_OFF_zspage_zsl;
	spinlock_t *lock = (spinlock_t *)(zsl + ZSL_OFF_zspage_lock_lock);

	spin_lock(lock);
	*(int *)(zsl + ZSL_OFF_zspage_lock_cnt) += change;
	spin_unlock(lock);
}

/* ---- memcg_data and owners --------------------------------------------- */

static inline unsigned long zsl_memcg_data(struct page *page)
{
#ifdef CONFIG_MEMCG
	return page->memcg_data;
#else
	return 0;
#endif
}

static inline u8 zsl_page_state(struct page *page)
{
	unsigned long data = zsl_memcg_data(page);
	u8 state = data & ZSFUZZ_TAG_MASK;

	if (data & ~(unsigned long)ZSFUZZ_TAG_MASK)
		state |= ZSFUZZ_PAGE_POINTER;
	return state;
}

struct zsl_tags {
	u16	pages;	/* bit k: page k has memcg_data set */
	u8	bits;	/* tag bits in any page; << 4: in all pages */
};

static inline struct zsl_tags zsl_zspage_tags(void *zspage, void *class)
{
	struct page *page = ZSL_FIELD(struct page *, zspage, zspage_first_zpdesc);
	unsigned int k, pages = zsl_class_pages(class);
	u8 any = 0, all = ZSFUZZ_TAG_MASK;
	u16 set = 0;

	for (k = 0; page;) {
		unsigned long data = zsl_memcg_data(page);

		if (data)
			set |= 1u << k;
		any |= data & ZSFUZZ_TAG_MASK;
		all &= data;
		if (++k == pages)
			break;
		page = ZSL_FIELD(struct page *, page, zpdesc_next);
	}
	return (struct zsl_tags) { set, any | all << 4 };
}

/* The object that page @k of a zspage begins with, perhaps the end of one. */
static inline unsigned int zsl_first_object(void *class, unsigned int k)
{
	return (k << PAGE_SHIFT) / zsl_class_size(class);
}

/* The last object that has a byte in page @k. */
static inline unsigned int zsl_last_object(void *class, unsigned int k)
{
	unsigned int last = (((k + 1) << PAGE_SHIFT) - 1) / zsl_class_size(class);

	return min_t(unsigned int, last, zsl_class_objs(class) - 1);
}

/*
 * Owner arrays, as the design has them: one for a zspage with an entry for
 * each object, or one for each of its pages with an entry for each object that
 * has a byte there, in order.  Which entry of a page's array is whose can only
 * be seen by trying: see zsl_find_owners().
 */
#ifndef ZSL_OWNER_STRIDE
#define ZSL_OWNER_STRIDE	sizeof(void *)
#define ZSL_OWNER_ENTRY		0
#endif

struct zsl_entries {
	bool	tail;		/* an object on two pages has an entry for each */
	bool	by_zspage;	/* a page's array is indexed by the object's number in the zspage */
	int	first;		/* entry of the first object that touches the zspage's first page */
	int	later;		/* the same for all other pages */
};

extern struct zsl_entries zsl_entries;
extern enum zsfuzz_owners zsl_owners;

void zsl_find_owners(struct obj_cgroup *objcg);

/* Pools that keep no owners, as far as they were made so. */
void zsl_note_bare(struct zs_pool *pool);
void zsl_forget_bare(struct zs_pool *pool);
bool zsl_is_bare(struct zs_pool *pool);

#if ZSL_DESIGN == 2
static inline unsigned int zsl_owner_arrays(void *class)
{
	return zsl_class_pages(class);
}

static inline void *zsl_owner_array(void *zspage, unsigned int k)
{
	struct page *page = zsl_zspage_page(zspage, k);

	return page ? zsl_owner_base(page) : NULL;
}

static inline unsigned int zsl_array_first(void *class, unsigned int k)
{
	return zsl_first_object(class, k);
}

static inline unsigned int zsl_array_last(void *class, unsigned int k)
{
	return zsl_last_object(class, k);
}

static inline int zsl_entry(void *class, unsigned int k, unsigned int index)
{
	if (zsl_entries.by_zspage)
		return index;
	return (int)(index - zsl_array_first(class, k)) +
	       (k ? zsl_entries.later : zsl_entries.first);
}
#else
static inline unsigned int zsl_owner_arrays(void *class)
{
	return 1;
}

static inline void *zsl_owner_array(void *zspage, unsigned int k)
{
#if defined(ZSL_OWNER_ROW) && defined(ZSL_OFF_zspage_pool)
	/* The slab object of a zspage without a row may have room for one that is not there. */
	if (zsl_is_bare(ZSL_FIELD(struct zs_pool *, zspage, zspage_pool)))
		return NULL;
#endif
	return zsl_owner_base(zspage);
}

static inline unsigned int zsl_array_first(void *class, unsigned int k)
{
	return 0;
}

static inline unsigned int zsl_array_last(void *class, unsigned int k)
{
	return zsl_class_objs(class) - 1;
}

static inline int zsl_entry(void *class, unsigned int k, unsigned int index)
{
	return index;
}
#endif

/*
 * KASAN is not asked: a kernel whose arrays are too short shall be caught at
 * its own access, not at this one.
 */
static inline struct obj_cgroup *zsl_read_entry(void *array, int entry)
{
	char *at = (char *)array + entry * (int)ZSL_OWNER_STRIDE + ZSL_OWNER_ENTRY;

	return (struct obj_cgroup *)(READ_ONCE_NOCHECK(*(unsigned long *)at) & ~7UL);
}

/* What array @k says, which must be there, unless object @index has no entry in it. */
static inline struct obj_cgroup *zsl_owner(void *zspage, void *class,
					   unsigned int k, unsigned int index)
{
	unsigned int size = zsl_class_size(class);
	void *array;

	if (!zsl_entries.tail && k && index * size < k << PAGE_SHIFT)
		k--;	/* only the page where it begins knows */
	array = zsl_owner_array(zspage, k);
	return array ? zsl_read_entry(array, zsl_entry(class, k, index)) : NULL;
}

#endif /* ZSL_H */
