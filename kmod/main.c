// SPDX-License-Identifier: GPL-2.0-only
/*
 * zsfuzz: zsmalloc's operations for a differential fuzzer.
 *
 * Lets user space create and destroy pools, allocate, write, migrate and free
 * objects at will, break allocations on purpose and look at private
 * structures.  Never load it on a machine that matters.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#include "zsfuzz.h"
#include "zsl.h"

DEFINE_MUTEX(zsf_lock);

static struct dentry *root;

u32 zsf_design(void)
{
	return ZSL_DESIGN;
}

u32 zsf_features(void)
{
	u32 features = 0;

	if (ZSL_HAS_OWNERS)
		features |= ZSFUZZ_HAS_OWNERS;
	if (!mem_cgroup_disabled())
		features |= ZSFUZZ_HAS_MEMCG;
	if (IS_ENABLED(CONFIG_COMPACTION))
		features |= ZSFUZZ_HAS_MIGRATION;
	if (IS_ENABLED(CONFIG_FAILSLAB) && IS_ENABLED(CONFIG_FAIL_PAGE_ALLOC))
		features |= ZSFUZZ_HAS_FAULTS;
	if (IS_ENABLED(CONFIG_ZSWAP) && !mem_cgroup_disabled())
		features |= ZSFUZZ_HAS_ZSWAP;
	if (IS_ENABLED(CONFIG_ZSMALLOC_STAT))
		features |= ZSFUZZ_HAS_CLASSES;
	if (zsf_swap_ready())
		features |= ZSFUZZ_HAS_SWAP;
#ifdef ZSL_OFF_zswap_entry_objcg
	features |= ZSFUZZ_HAS_ENTRY_OWNERS;
#endif
	if (zsf_cover_sites())
		features |= ZSFUZZ_HAS_COVERAGE;
	return features;
}

/*
 * Functions are called and variables written at distances that are right in one
 * build of a kernel only.  In another, its build ID may not even be mapped.
 */
static bool layout_is_of_this_kernel(void)
{
	static const u8 expected[] = ZSL_BUILD_ID;
	const void *at = (const char *)zs_malloc + ZSL_BUILD_ID_AT;
	u8 found[sizeof(expected)];

	return !copy_from_kernel_nofault(found, at, sizeof(found)) &&
	       !memcmp(found, expected, sizeof(found));
}

/*
 * kmemleak leaves out what is younger than 5 seconds, as it may be in a register
 * still.  Audits scan when nothing else runs, so that leaks show at once.
 * Returns what was so long before.
 */
static unsigned long leak_age(unsigned long jiffies_min_age)
{
#ifdef ZSL_SYM_jiffies_min_age
	swap(*(unsigned long *)ZSL_SYMBOL(jiffies_min_age), jiffies_min_age);
#endif
	return jiffies_min_age;
}

static unsigned long usual_leak_age;

static void zsf_exit(void)
{
	debugfs_remove_recursive(root);
	zsf_ring_exit();
	zsf_patterns_exit();
	leak_age(usual_leak_age);
}

static int __init zsf_init(void)
{
	int ret;

	if (!layout_is_of_this_kernel()) {
		pr_err("built for another kernel; build it again against this one\n");
		return -ENOEXEC;
	}
	ret = zsl_calibrate();
	if (ret) {
		pr_err("zsmalloc's objects are not laid out as expected (%d)\n", ret);
		return ret;
	}
	usual_leak_age = leak_age(0);
	zsf_cover_init();
	zsf_cgroups_init();
	root = debugfs_create_dir("zsfuzz", NULL);
	ret = zsf_patterns_init();
	if (!ret)
		ret = zsf_ring_init(root);
	if (ret)
		zsf_exit();
	else
		zsf_files_init(root);
	return ret;
}

module_init(zsf_init);
module_exit(zsf_exit);
MODULE_DESCRIPTION("zsmalloc operations for a differential fuzzer");
MODULE_LICENSE("GPL");
