// SPDX-License-Identifier: GPL-2.0-only
/*
 * Coverage: KCOV has collected the program counters of the calling task, the
 * agent; here they become 8-bit counters, one for each place in zsmalloc.o
 * that the compiler instrumented, in the memory that the host gives libFuzzer.
 */
#include <linux/hash.h>
#include <linux/kcov.h>
#include <linux/log2.h>
#include <linux/sched.h>
#include <linux/zsmalloc.h>

#define ZSL_WANT_SITES
#include "zsfuzz.h"
#include "zsl.h"

#if defined(CONFIG_KCOV) && ZSL_SITES > 0

/* A hash from program counter to site, open addressing, never full. */
#define HASH_BITS	(const_ilog2(ZSL_SITES) + 3)

static struct {
	unsigned long pc;
	unsigned int site;
} hash[1 << HASH_BITS];

static unsigned int hash_slot(unsigned long pc)
{
	unsigned int slot = hash_long(pc, HASH_BITS);

	while (hash[slot].pc && hash[slot].pc != pc)
		slot = (slot + 1) & (ARRAY_SIZE(hash) - 1);
	return slot;
}

void zsf_cover_init(void)
{
	unsigned int i;

	for (i = 0; i < ZSL_SITES; i++) {
		unsigned long pc = (unsigned long)zs_malloc + zsl_sites[i];
		unsigned int slot = hash_slot(pc);

		hash[slot].pc = pc;
		hash[slot].site = i;
	}
}

u32 zsf_cover_sites(void)
{
	return ZSL_SITES;
}

/* KCOV's buffer belongs to the agent, which has mapped and enabled it. */
void zsf_cover_start(u32 run_flags)
{
	u64 *area = current->kcov_area;
	unsigned int mode = KCOV_MODE_DISABLED;

	if (!area)
		return;
	area[0] = 0;
	if (run_flags & ZSFUZZ_RUN_COMPARES)
		mode = KCOV_MODE_TRACE_CMP;
	else if (run_flags & ZSFUZZ_RUN_COVER)
		mode = KCOV_MODE_TRACE_PC;
	barrier();
	WRITE_ONCE(current->kcov_mode, mode);
}

static const u64 *cover_stop(void)
{
	WRITE_ONCE(current->kcov_mode, KCOV_MODE_DISABLED);
	barrier();
	return current->kcov_area;
}

/* Ends what zsf_cover_start() began, and counts the places that were reached. */
void zsf_cover_fold(u8 *counters, u32 *hits)
{
	const u64 *area = cover_stop();
	u64 i, n;

	if (!area)
		return;
	n = min_t(u64, area[0], current->kcov_size - 1);
	for (i = 1; i <= n; i++) {
		unsigned int slot = hash_slot(area[i]), site = hash[slot].site;

		if (!hash[slot].pc)
			continue;
		hits[site]++;
		if (counters[site] != 0xff)
			counters[site]++;
	}
}

/* The same for comparisons: those whose sides differed, at most @max. */
u32 zsf_cover_compares(struct zsfuzz_compare *to, u32 max)
{
	const u64 *area = cover_stop();
	u32 taken = 0;
	u64 i, n;

	if (!area)
		return 0;
	n = min_t(u64, area[0], (current->kcov_size - 1) / 4);
	for (i = 0; i < n && taken < max; i++) {
		const u64 *rec = area + 1 + 4 * i;

		if (rec[1] == rec[2])
			continue;
		to[taken++] = (struct zsfuzz_compare) {
			.left	  = rec[1],
			.right	  = rec[2],
			.bytes	  = 1u << ((rec[0] & KCOV_CMP_MASK) >> 1),
			.constant = rec[0] & KCOV_CMP_CONST,
		};
	}
	return taken;
}

#else

void zsf_cover_init(void)
{
}

u32 zsf_cover_sites(void)
{
	return 0;
}

void zsf_cover_start(u32 run_flags)
{
}

void zsf_cover_fold(u8 *counters, u32 *hits)
{
}

u32 zsf_cover_compares(struct zsfuzz_compare *to, u32 max)
{
	return 0;
}

#endif
