// SPDX-License-Identifier: GPL-2.0-only
/* The file zsmalloc/<pool>/classes in debugfs, read as a user would read it. */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/uio.h>

#include "zsfuzz.h"

#define TEXT_BYTES	SZ_64K
#define NR_COLUMNS	18

/* In the order of the file; a row of totals has no size and no chain. */
enum column {
	COL_CLASS, COL_SIZE,
	COL_G10, COL_G20, COL_G30, COL_G40, COL_G50, COL_G60,
	COL_G70, COL_G80, COL_G90, COL_G99, COL_G100,
	COL_ALLOCATED, COL_USED, COL_PAGES, COL_CHAIN, COL_FREEABLE,
};

/* Debugfs reads into user memory only, so ask the seq_file below it. */
static ssize_t read_text(const char *path, char *to, size_t size)
{
	struct file *file = filp_open(path, O_RDONLY, 0);
	struct kvec vec = { .iov_base = to, .iov_len = size - 1 };
	struct iov_iter iter;
	struct kiocb kiocb;
	ssize_t n;

	if (IS_ERR(file))
		return PTR_ERR(file);
	init_sync_kiocb(&kiocb, file);
	iov_iter_kvec(&iter, ITER_DEST, &vec, 1, vec.iov_len);
	n = seq_read_iter(&kiocb, &iter);
	filp_close(file, NULL);
	if (n >= 0)
		to[n] = '\0';
	return n;
}

/* Returns how many numbers there are in @line; those beyond @max are counted only. */
static unsigned int parse_numbers(char *line, unsigned long *to, unsigned int max)
{
	unsigned int n = 0;
	char *word;

	while ((word = strsep(&line, " \t"))) {
		unsigned long value;

		if (!*word)
			continue;
		if (kstrtoul(word, 10, &value))
			return 0;	/* headings */
		if (n < max)
			to[n] = value;
		n++;
	}
	return n;
}

/* Takes the totals apart as if they had a class, a size and a chain. */
static bool parse_totals(char *line, unsigned long *to)
{
	if (parse_numbers(line, to + COL_G10, NR_COLUMNS - COL_G10) != NR_COLUMNS - 3)
		return false;
	to[COL_FREEABLE] = to[COL_CHAIN];
	to[COL_CHAIN] = 0;
	to[COL_CLASS] = ZSFUZZ_NONE8;
	to[COL_SIZE] = 0;
	return true;
}

static bool parse_row(char *line, unsigned long *to)
{
	line = strim(line);
	if (str_has_prefix(line, "Total"))
		return parse_totals(line + strlen("Total"), to);
	return parse_numbers(line, to, NR_COLUMNS) == NR_COLUMNS;
}

static bool row_is_empty(const unsigned long *row)
{
	unsigned long any = row[COL_ALLOCATED] | row[COL_USED] | row[COL_PAGES] |
			    row[COL_FREEABLE];
	unsigned int i;

	for (i = COL_G10; i <= COL_G100; i++)
		any |= row[i];
	return !any;
}

static void put_row(const unsigned long *row, struct zsf_out *out)
{
	struct zsfuzz_snap_row *snap = zsf_out(out, sizeof(*snap));
	unsigned int i;
	u16 *group;

	if (!snap)
		return;
	snap->kind = ZSFUZZ_SNAP_ROW;
	snap->class = row[COL_CLASS];
	snap->size = row[COL_SIZE];
	group = &snap->g10;
	for (i = COL_G10; i <= COL_G100; i++)
		*group++ = row[i];
	snap->allocated = row[COL_ALLOCATED];
	snap->used = row[COL_USED];
	snap->pages = row[COL_PAGES];
	snap->chain = row[COL_CHAIN];
	snap->freeable = row[COL_FREEABLE];
}

static int read_rows(const char *path, char *text, struct zsf_out *out,
		     struct zsf_totals *totals)
{
	unsigned long row[NR_COLUMNS];
	ssize_t n = read_text(path, text, TEXT_BYTES);
	bool whole = false;
	char *line;

	if (n < 0)
		return n;
	while ((line = strsep(&text, "\n"))) {
		if (!parse_row(line, row))
			continue;
		if (out && !row_is_empty(row))
			put_row(row, out);
		if (row[COL_CLASS] != ZSFUZZ_NONE8)
			continue;
		whole = true;
		totals->used = row[COL_USED];
		totals->pages = row[COL_PAGES];
		totals->freeable = row[COL_FREEABLE];
	}
	return whole ? 0 : -EBADMSG;
}

/*
 * Reads a pool's file: its totals, and, with @out, each row that is not all
 * zero.  -EBADMSG: the file is not as Linux 7.2 writes it.
 */
int zsf_classes_read(struct zsf_session *s, unsigned int pool, struct zsf_out *out,
		     struct zsf_totals *totals)
{
	char path[80];
	char *text;
	int ret;

	if (!(zsf_features() & ZSFUZZ_HAS_CLASSES))
		return -EOPNOTSUPP;
	text = kvmalloc(TEXT_BYTES, GFP_KERNEL);
	if (!text)
		return -ENOMEM;
	snprintf(path, sizeof(path), "/sys/kernel/debug/zsmalloc/%s-p%u/classes",
		 s->name, pool);
	ret = read_rows(path, text, out, totals);
	kvfree(text);
	return ret;
}
