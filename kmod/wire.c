// SPDX-License-Identifier: GPL-2.0-only
/*
 * Puts all of zsfuzz_abi.h into this module's DWARF, where Python reads it:
 * the compiler leaves out what is not used, and macros always.
 */
#include "zsfuzz_abi.h"

enum zsf_wire_macros {
	ZSFUZZ_WIRE_MAGIC		= ZSFUZZ_MAGIC,
	ZSFUZZ_WIRE_VERSION		= ZSFUZZ_VERSION,
	ZSFUZZ_WIRE_OBJECTS		= ZSFUZZ_OBJECTS,
	ZSFUZZ_WIRE_POOLS		= ZSFUZZ_POOLS,
	ZSFUZZ_WIRE_CGROUPS		= ZSFUZZ_CGROUPS,
	ZSFUZZ_WIRE_NO_OWNER		= ZSFUZZ_NO_OWNER,
	ZSFUZZ_WIRE_NONE8		= ZSFUZZ_NONE8,
	ZSFUZZ_WIRE_NONE16		= ZSFUZZ_NONE16,
	ZSFUZZ_WIRE_FOREIGN		= ZSFUZZ_FOREIGN,
	ZSFUZZ_WIRE_BAD_HEADER		= ZSFUZZ_BAD_HEADER,
	ZSFUZZ_WIRE_NO_LIMIT		= ZSFUZZ_NO_LIMIT,
	ZSFUZZ_WIRE_TAG_MASK		= ZSFUZZ_TAG_MASK,
	ZSFUZZ_WIRE_PAGE_POINTER	= ZSFUZZ_PAGE_POINTER,
	ZSFUZZ_WIRE_PAGE_HELD		= ZSFUZZ_PAGE_HELD,
	ZSFUZZ_WIRE_PAGE_KEPT		= ZSFUZZ_PAGE_KEPT,
	ZSFUZZ_WIRE_PATTERNS		= ZSFUZZ_PATTERNS,
	ZSFUZZ_WIRE_PAGES		= ZSFUZZ_PAGES,
	ZSFUZZ_WIRE_ZSWAP_POOL		= ZSFUZZ_ZSWAP_POOL,
	ZSFUZZ_WIRE_ZRAM_POOL		= ZSFUZZ_ZRAM_POOL,
	ZSFUZZ_WIRE_ON_DISK		= ZSFUZZ_ON_DISK,
	ZSFUZZ_WIRE_MAX_OPS		= ZSFUZZ_MAX_OPS,
	ZSFUZZ_WIRE_MAX_PROGRAMS	= ZSFUZZ_MAX_PROGRAMS,
};

static const struct zsf_wire {
	enum zsf_wire_macros		macros;
	enum zsfuzz_opcode		opcode;
	enum zsfuzz_snapshot_kind	kind;
	enum zsfuzz_leftover		leftover;
	enum zsfuzz_command		command;
	enum zsfuzz_run_flags		flags;
	enum zsfuzz_design		design;
	enum zsfuzz_features		features;
	struct zsfuzz_op		op;
	struct zsfuzz_result		result;
	struct zsfuzz_snap_pool		pool;
	struct zsfuzz_snap_class	class;
	struct zsfuzz_snap_row		row;
	struct zsfuzz_snap_zspage	zspage;
	struct zsfuzz_snap_object	object;
	struct zsfuzz_snap_page		page;
	enum zsfuzz_whereabouts		whereabouts;
	struct zsfuzz_snap_events	events;
	struct zsfuzz_snap_cgroup	cgroup;
	struct zsfuzz_snap_end		end;
	struct zsfuzz_ring		ring;
	struct zsfuzz_compare		compare;
	struct zsfuzz_program_header	program_header;
	struct zsfuzz_result_header	result_header;
} zsf_wire __attribute__((used));
