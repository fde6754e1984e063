/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the host and the guest say to each other.
 *
 * This header is the one definition of the wire format.  The module and the
 * agent include it; Python reads the same structures from the DWARF of the
 * built module.  docs/PROGRAM.md says what each operation means.
 *
 * Everything is little-endian; records have explicit padding.  Numbers of
 * objects, pools, cgroups and zspages stand for kernel pointers, which never leave the
 * module.
 */
#ifndef ZSFUZZ_ABI_H
#define ZSFUZZ_ABI_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define ZSFUZZ_MAGIC		0x7a5f0225
#define ZSFUZZ_VERSION		3

/* Names in a program: o0..o255, p0..p3, c0..c7 (c0 is the root cgroup). */
#define ZSFUZZ_OBJECTS		256
#define ZSFUZZ_POOLS		4
#define ZSFUZZ_CGROUPS		8
#define ZSFUZZ_NO_OWNER		8	/* in zsfuzz_op.owner */

#define ZSFUZZ_NONE8		0xff	/* "nothing" in a byte of a result */
#define ZSFUZZ_NONE16		0xffff	/* "nothing" in two bytes of a result */
#define ZSFUZZ_FOREIGN		0xfe	/* an owner that is none of the program's cgroups */
#define ZSFUZZ_BAD_HEADER	0xfe	/* as a pattern: the slot's header is not the object's handle */
#define ZSFUZZ_NO_LIMIT		0xffff	/* zswap_max: no limit */
#define ZSFUZZ_TAG_MASK		7	/* tag bits of memcg_data, in the state of a page */
#define ZSFUZZ_PAGE_POINTER	8	/* memcg_data has a pointer, in the state of a page */
#define ZSFUZZ_PAGE_HELD	16	/* someone refers to the old page of a migration */
#define ZSFUZZ_PAGE_KEPT	32	/* it still names its zspage, or is private */

#define ZSFUZZ_PATTERNS		16
#define ZSFUZZ_PAGES		64	/* v0..v63 */
#define ZSFUZZ_ZSWAP_POOL	4	/* in a snapshot: zswap's own pool */
#define ZSFUZZ_ZRAM_POOL	5	/* in a snapshot: that of the swap device */
#define ZSFUZZ_ON_DISK		0x8000	/* in a length: on the swap device, not in zswap */
#define ZSFUZZ_MAX_OPS		1024	/* in one program */
#define ZSFUZZ_MAX_PROGRAMS	512	/* in one request */

enum zsfuzz_opcode {
	ZSFUZZ_POOL_CREATE	= 0,
	ZSFUZZ_POOL_DESTROY	= 1,
	ZSFUZZ_MALLOC		= 2,
	ZSFUZZ_WRITE		= 3,
	ZSFUZZ_READ		= 4,
	ZSFUZZ_FREE		= 5,
	ZSFUZZ_COMPACT		= 6,
	ZSFUZZ_MIGRATE		= 7,
	ZSFUZZ_SHRINK		= 8,
	ZSFUZZ_LOCK_PAGE	= 9,
	ZSFUZZ_READ_LOCK	= 10,
	ZSFUZZ_FLUSH		= 11,
	ZSFUZZ_FAIL_NEXT	= 12,
	ZSFUZZ_STAT		= 13,
	ZSFUZZ_CGROUP_CREATE	= 14,
	ZSFUZZ_CGROUP_REMOVE	= 15,
	ZSFUZZ_CLASSES		= 16,
	ZSFUZZ_ZSWAP_MAX	= 17,
	ZSFUZZ_MAY_ZSWAP	= 18,
	ZSFUZZ_COMPACT_MEMORY	= 19,
	ZSFUZZ_PAGE_WRITE	= 20,
	ZSFUZZ_PAGE_OUT		= 21,
	ZSFUZZ_PAGE_IN		= 22,
	ZSFUZZ_PAGE_DROP	= 23,
	ZSFUZZ_PAGE_EXIT	= 24,
	ZSFUZZ_WRITEBACK	= 25,
	ZSFUZZ_SWAP_COMPACT	= 26,
	ZSFUZZ_STAT_FILES	= 27,
	ZSFUZZ_NR_OPCODES	= 28,
};

/* One operation, 8 bytes. */
struct zsfuzz_op {
	__u8	op;		/* enum zsfuzz_opcode */
	__u8	object;		/* or page */
	__u8	pool;
	__u8	owner;		/* cgroup, or ZSFUZZ_NO_OWNER */
	__u16	size;		/* bytes */
	__u16	arg;		/* see docs/PROGRAM.md */
};

/* What one operation did, 20 bytes. */
struct zsfuzz_result {
	__s16	ret;		/* 0 or a negative errno */
	__u16	zspage;		/* in order of appearance in the program */
	__u8	class;		/* index of the size class */
	__u8	index;		/* of the object in its zspage */
	__u8	owner;		/* cgroup in the owner entry, after the operation */
	__u8	tail;		/* cgroup in the entry for the object's second page, if there is one */
	__u8	group;		/* fullness group of the zspage, after the operation */
	__u8	tag_bits;	/* memcg_data & 7: set in any page; << 4: set in all pages */
	__u16	inuse;		/* objects in the zspage, after the operation */
	__u16	tags;		/* bit k: page k of the zspage has memcg_data set */
	__u16	value;
	__u16	faults;		/* allocations left until the armed fault */
	__u16	zspages;	/* NR_ZSPAGES, pages since the program began */
};

/*
 * The snapshot that follows the results: a run of the records below, each
 * known by its first byte, in the order that docs/PROGRAM.md gives.
 */
enum zsfuzz_snapshot_kind {
	ZSFUZZ_SNAP_POOL	= 1,
	ZSFUZZ_SNAP_CLASS	= 2,
	ZSFUZZ_SNAP_ZSPAGE	= 3,
	ZSFUZZ_SNAP_OBJECT	= 4,
	ZSFUZZ_SNAP_CGROUP	= 5,
	ZSFUZZ_SNAP_END		= 6,
	ZSFUZZ_SNAP_ROW		= 7,
	ZSFUZZ_SNAP_PAGE	= 8,
	ZSFUZZ_SNAP_EVENTS	= 9,
};

struct zsfuzz_snap_pool {
	__u8	kind;
	__u8	pool;
	__u8	aware;		/* 1: the pool keeps owners */
	__u8	pad;
	__u16	pages;		/* zs_get_total_pages() */
	__u16	compacted;	/* pages, since the program began */
};

struct zsfuzz_snap_class {
	__u8	kind;
	__u8	class;
	__u16	bad_groups;	/* bit g: counter of group g is not its list's length */
	__u16	allocated;	/* ZS_OBJS_ALLOCATED */
	__u16	inuse;		/* ZS_OBJS_INUSE */
};

/*
 * A row of the file zsmalloc/<pool>/classes in debugfs that has a number other
 * than 0, or the totals.  @g10 to @g100: zspages by fullness.
 */
struct zsfuzz_snap_row {
	__u8	kind;
	__u8	class;		/* ZSFUZZ_NONE8: totals */
	__u16	size;		/* bytes */
	__u16	g10;
	__u16	g20;
	__u16	g30;
	__u16	g40;
	__u16	g50;
	__u16	g60;
	__u16	g70;
	__u16	g80;
	__u16	g90;
	__u16	g99;
	__u16	g100;
	__u16	allocated;	/* objects */
	__u16	used;		/* objects */
	__u16	pages;
	__u16	chain;		/* pages_per_zspage */
	__u16	freeable;	/* pages */
};

/*
 * Followed by the free list (objs - inuse bytes), the state of each page (its
 * tag bits and ZSFUZZ_PAGE_POINTER), and the owner entries, array by array.
 */
struct zsfuzz_snap_zspage {
	__u8	kind;
	__u8	group;
	__u16	zspage;
	__u16	inuse;
	__u16	free_bytes;
	__u16	owner_bytes;
	__u8	pages;
	__u8	pad;
};

struct zsfuzz_snap_object {
	__u8	kind;
	__u8	object;
	__u8	index;
	__u8	pattern;	/* found in memory, or ZSFUZZ_NONE8, ZSFUZZ_BAD_HEADER */
	__u16	zspage;
	__u16	length;		/* bytes that were compared */
};

enum zsfuzz_whereabouts {
	ZSFUZZ_IN_MEMORY	= 0,
	ZSFUZZ_IN_ZSWAP		= 1,
	ZSFUZZ_ON_DEVICE	= 2,	/* an object of the swap device's pool */
	ZSFUZZ_NOWHERE		= 3,	/* swapped, and takes up no object */
};

/* A page of a process; from @index on only if it takes up an object. */
struct zsfuzz_snap_page {
	__u8	kind;
	__u8	page;
	__u8	where;		/* enum zsfuzz_whereabouts */
	__u8	owner;		/* cgroup that its object in zswap belongs to */
	__u16	zspage;
	__u16	length;		/* bytes, compressed */
	__u8	index;
	__u8	pad;
};

/* What zswap did for a cgroup and its descendants since the program began, in pages. */
struct zsfuzz_snap_events {
	__u8	kind;
	__u8	cgroup;
	__u16	zswpin;
	__u16	zswpout;
	__u16	zswpwb;
};

struct zsfuzz_snap_cgroup {
	__u8	kind;
	__u8	cgroup;
	__u16	zswapped;	/* objects, with all descendants' */
	__u32	zswap;		/* bytes, with all descendants' */
	__u16	incompressible;	/* objects, with all descendants' */
	__u16	zswap_max;	/* pages, or ZSFUZZ_NO_LIMIT */
};

enum zsfuzz_leftover {
	ZSFUZZ_LEFT_OBJECTS	= 1,	/* a class has a zspage */
	ZSFUZZ_LEFT_PAGES	= 2,	/* zs_get_total_pages() is not 0 */
	ZSFUZZ_LEFT_CHARGE	= 4,	/* a cgroup has zswap bytes or objects left */
	ZSFUZZ_LEFT_VMSTAT	= 8,	/* NR_ZSPAGES is not what it was */
	ZSFUZZ_LEFT_STORED	= 16,	/* zswap counts pages that it does not have */
	ZSFUZZ_LEFT_CONTENTS	= 32,	/* pages had not the contents that were written */
	ZSFUZZ_LEFT_COUNTS	= 64,	/* a class has no zspage, but its statistics say so */
};

/* After everything was freed. */
struct zsfuzz_snap_end {
	__u8	kind;
	__u8	left;		/* enum zsfuzz_leftover */
	__u16	pad;
	__u32	zswap;		/* bytes left in the cgroups' common parent */
};

/*
 * The ring: physically contiguous pages, shared with the host.  The host
 * fills in the request and the programs, then increments @request; the
 * module answers and sets @reply to the same number.
 */
enum zsfuzz_command {
	ZSFUZZ_CMD_RUN		= 1,
	ZSFUZZ_CMD_AUDIT	= 2,	/* dear: remake all cgroups, count what stays of the old */
	ZSFUZZ_CMD_EXIT		= 3,
	ZSFUZZ_CMD_TRIP		= 4,	/* use memory after freeing it: does KASAN see it? */
};

enum zsfuzz_run_flags {
	ZSFUZZ_RUN_COVER	= 1,	/* fold KCOV into the counters */
	ZSFUZZ_RUN_COMPARES	= 2,	/* collect comparison operands instead */
};

enum zsfuzz_design {
	ZSFUZZ_DESIGN_STOCK	= 0,
	ZSFUZZ_DESIGN_ZSPAGE	= 1,
	ZSFUZZ_DESIGN_ZPDESC	= 2,
};

enum zsfuzz_features {
	ZSFUZZ_HAS_OWNERS	= 1,	/* zs_obj_write() takes an owner */
	ZSFUZZ_HAS_MEMCG	= 2,
	ZSFUZZ_HAS_MIGRATION	= 4,
	ZSFUZZ_HAS_FAULTS	= 8,
	ZSFUZZ_HAS_COVERAGE	= 16,
	ZSFUZZ_HAS_ZSWAP	= 32,	/* owners are charged */
	ZSFUZZ_HAS_CLASSES	= 64,	/* zsmalloc/<pool>/classes in debugfs */
	ZSFUZZ_HAS_SWAP		= 128,	/* zswap before a zram disk */
	ZSFUZZ_HAS_ENTRY_OWNERS	= 256,	/* zswap's entries have an owner, whatever zsmalloc has */
};

/* Of kernels that are not of our own series: do objects show the owners that they were given? */
enum zsfuzz_owners {
	ZSFUZZ_OWNERS_UNTRIED	= 0,
	ZSFUZZ_OWNERS_SEEN	= 1,
	ZSFUZZ_OWNERS_NOT_SEEN	= 2,	/* no object of any size did */
};

struct zsfuzz_compare {
	__u64	left;
	__u64	right;
	__u32	bytes;		/* width of the operands: 1, 2, 4, 8 */
	__u32	constant;	/* 1: left is a compile-time constant */
};

struct zsfuzz_ring {
	/* written once, before the first request */
	__u32	magic;
	__u32	version;
	__u32	design;		/* enum zsfuzz_design */
	__u32	features;	/* enum zsfuzz_features */
	__u32	page_size;	/* bytes */
	__u32	chain_size;	/* CONFIG_ZSMALLOC_CHAIN_SIZE */
	__u32	min_alloc_size;	/* bytes: size of the smallest class */
	__u32	program_offset;	/* all offsets and sizes in bytes, from the ring's start */
	__u32	program_size;
	__u32	result_offset;
	__u32	result_size;
	__u32	counter_offset;
	__u32	counter_count;	/* 8-bit counters, one for each coverage site */
	__u32	hit_offset;	/* 32-bit counters, the same sites, never cleared */
	__u32	compare_offset;
	__u32	compare_max;
	__u32	writeback_batch;	/* entries that zswap looks at in one go, of one cgroup */
	__u32	owners;		/* enum zsfuzz_owners */
	__u32	zswap_lengths[ZSFUZZ_PATTERNS];	/* of a page of each pattern; 0: takes up no object */
	__u32	disk_lengths[ZSFUZZ_PATTERNS];

	/* host to guest */
	__u32	request __attribute__((aligned(64)));
	__u32	command;	/* enum zsfuzz_command */
	__u32	flags;		/* enum zsfuzz_run_flags */
	__u32	programs;	/* how many, in the program area */

	/* guest to host */
	__u32	reply __attribute__((aligned(64)));
	__s32	status;		/* 0 or a negative errno for the request as a whole */
	__u32	done;		/* programs that have results */
	__u32	result_bytes;
	__u32	compares;	/* collected */
	__u32	orphans;	/* AUDIT: owners and cgroups that did not go away */
	__u32	heartbeat;	/* operations done, so that a hang can be told from a slow program */
	__u32	taint;		/* not 0: the kernel warned, died, found a bad page or lock */
};

/* In the program area: this header, then @ops operations; then the next program. */
struct zsfuzz_program_header {
	__u32	ops;
	__u32	pad;
};

/* In the result area: this header, then the results and the snapshot. */
struct zsfuzz_result_header {
	__u32	bytes;		/* of what follows; always a multiple of 8 */
	__u32	ops;		/* results that follow */
};

/* What the agent asks, and is asked, in its blocking ioctl. */
enum zsfuzz_agent_action {
	ZSFUZZ_AGENT_NONE		= 0,
	ZSFUZZ_AGENT_CGROUP_CREATE	= 1,
	ZSFUZZ_AGENT_CGROUP_REMOVE	= 2,
	ZSFUZZ_AGENT_AUDIT		= 3,
	ZSFUZZ_AGENT_EXIT		= 4,
	ZSFUZZ_AGENT_PAGE_WRITE		= 5,
	ZSFUZZ_AGENT_PAGE_OUT		= 6,
	ZSFUZZ_AGENT_PAGE_IN		= 7,
	ZSFUZZ_AGENT_PAGE_DROP		= 8,
	ZSFUZZ_AGENT_PAGE_EXIT		= 9,
	ZSFUZZ_AGENT_STAT_FILES		= 10,
	ZSFUZZ_AGENT_DRAIN		= 11,	/* read all pages, end all processes */
};

/* What STAT_FILES reads: memory.zswap.current, then these lines of memory.stat. */
enum zsfuzz_number {
	ZSFUZZ_ZSWAP_CURRENT		= 0,	/* bytes */
	ZSFUZZ_STAT_ZSWAP		= 1,	/* bytes */
	ZSFUZZ_STAT_ZSWAPPED		= 2,	/* bytes */
	ZSFUZZ_STAT_ZSWAP_INCOMP	= 3,	/* bytes */
	ZSFUZZ_STAT_ZSWPIN		= 4,	/* pages, as all below */
	ZSFUZZ_STAT_ZSWPOUT		= 5,
	ZSFUZZ_STAT_ZSWPWB		= 6,
	ZSFUZZ_NUMBERS			= 7,
};

struct zsfuzz_agent_request {
	__u32	action;		/* from the module */
	__s32	result;		/* from the agent: 0 or a negative errno */
	__u32	cgroup;
	__u32	parent;
	__u32	value;		/* AUDIT: owners and cgroups that did not go away
				 * PAGE_IN: the pattern found
				 * DRAIN: pages with other contents
				 */
	__u32	thorough;	/* AUDIT: look for leaks as well */
	__u32	page;
	__u32	arg;		/* PAGE_WRITE: pattern; PAGE_IN: 1: the process touches it first */
	__u64	entry;		/* PAGE_OUT: from /proc/PID/pagemap; 0: still in memory */
	__u32	numbers[ZSFUZZ_NUMBERS];	/* STAT_FILES */
};

#define ZSFUZZ_IOC_SERVE	_IOWR('z', 1, struct zsfuzz_agent_request)

/*
 * Tells the module which cgroup directory c<number> is, or ~0: their common
 * parent.  A negative @fd says that it was removed; with ~0, all of them were.
 */
struct zsfuzz_cgroup_fd {
	__u32	number;
	__s32	fd;
};

#define ZSFUZZ_IOC_CGROUP	_IOW('z', 2, struct zsfuzz_cgroup_fd)
#define ZSFUZZ_IOC_FINISH	_IO('z', 3)	/* snapshot, then free everything */
#define ZSFUZZ_IOC_ORPHANS	_IOR('z', 4, __u32)	/* owners that outlive their cgroups */

/* Pages of @pattern get so long; ZSFUZZ_PATTERNS: all were told, swap is ready. */
struct zsfuzz_swap_sample {
	__u32	pattern;
	__u32	on_disk;	/* zswap was switched off */
	__u64	entry;		/* from /proc/PID/pagemap */
};

#define ZSFUZZ_IOC_SWAP		_IOW('z', 5, struct zsfuzz_swap_sample)

#endif /* ZSFUZZ_ABI_H */
