// SPDX-License-Identifier: GPL-2.0-only
/* What objects are filled with, and what is found in them. */
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "zsfuzz.h"

static u8 *patterns;

/* Bytes that differ between patterns, and between places in one pattern. */
int zsf_patterns_init(void)
{
	u32 state, p, i;

	patterns = kmalloc_array(ZSFUZZ_PATTERNS, PAGE_SIZE, GFP_KERNEL);
	if (!patterns)
		return -ENOMEM;
	for (p = 0; p < ZSFUZZ_PATTERNS; p++) {
		state = 0x9e3779b9u * (p + 1);
		for (i = 0; i < PAGE_SIZE; i++) {
			state = state * 1664525u + 1013904223u;
			patterns[p * PAGE_SIZE + i] = state >> 24;
		}
	}
	return 0;
}

void zsf_patterns_exit(void)
{
	kfree(patterns);
	patterns = NULL;
}

const void *zsf_pattern(unsigned int pattern)
{
	return patterns + (pattern % ZSFUZZ_PATTERNS) * PAGE_SIZE;
}

/* The pattern that @data is the beginning of. */
static u8 pattern_find(const void *data, size_t length, u8 first_try)
{
	u8 p;

	if (!length)
		return 0;
	if (!memcmp(data, zsf_pattern(first_try), length))
		return first_try;
	for (p = 0; p < ZSFUZZ_PATTERNS; p++)
		if (!memcmp(data, zsf_pattern(p), length))
			return p;
	return ZSFUZZ_NONE8;
}

static u8 contents_sg(struct zsf_session *s, struct zs_pool *zs, struct zsf_object *o)
{
	struct scatterlist sg[2], *entry;
	size_t at = 0;

	zs_obj_read_sg_begin(zs, o->handle, sg, o->length);
	for (entry = sg; entry; entry = sg_next(entry)) {
		if (at + entry->length > PAGE_SIZE)
			break;
		memcpy(s->copy + at, sg_virt(entry), entry->length);
		at += entry->length;
	}
	zs_obj_read_sg_end(zs, o->handle);
	if (at != o->length)
		return ZSFUZZ_NONE8;
	return pattern_find(s->copy, o->length, o->pattern);
}

/* Reads object @o as its users do, and says which pattern is in it. */
u8 zsf_object_contents(struct zsf_session *s, struct zsf_object *o, bool sg)
{
	struct zs_pool *zs = s->pools[o->pool].zs;
	void *data;
	u8 found;

	if (!o->length)
		return 0;
	if (sg)
		return contents_sg(s, zs, o);
	data = zs_obj_read_begin(zs, o->handle, o->length, s->copy);
	found = pattern_find(data, o->length, o->pattern);
	zs_obj_read_end(zs, o->handle, o->length, data);
	return found;
}
