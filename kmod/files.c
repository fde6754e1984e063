// SPDX-License-Identifier: GPL-2.0-only
/*
 * The files that people and stand-alone reproducers use, each opening with
 * pools and objects of its own:
 *   exec	write struct zsfuzz_op, read struct zsfuzz_result
 *   ops	the same as text: "malloc o=0 p=0 size=2720 c=1 arg=3"
 * What was not read yet when the file is closed is lost, objects are freed.
 */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/kstrtox.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "zsfuzz.h"

/* A whole number of the longest writes to exec. */
#define OUT_BYTES	(12 * ZSFUZZ_MAX_OPS * sizeof(struct zsfuzz_result))

struct user_file {
	struct zsf_session	*session;
	struct zsf_out		out;
	u8			*buffer;
	u8			*unread;
};

static const char * const op_names[ZSFUZZ_NR_OPCODES] = {
	[ZSFUZZ_POOL_CREATE]	= "pool_create",
	[ZSFUZZ_POOL_DESTROY]	= "pool_destroy",
	[ZSFUZZ_MALLOC]		= "malloc",
	[ZSFUZZ_WRITE]		= "write",
	[ZSFUZZ_READ]		= "read",
	[ZSFUZZ_FREE]		= "free",
	[ZSFUZZ_COMPACT]	= "compact",
	[ZSFUZZ_MIGRATE]	= "migrate",
	[ZSFUZZ_SHRINK]		= "shrink",
	[ZSFUZZ_LOCK_PAGE]	= "lock_page",
	[ZSFUZZ_READ_LOCK]	= "read_lock",
	[ZSFUZZ_FLUSH]		= "flush",
	[ZSFUZZ_FAIL_NEXT]	= "fail_next",
	[ZSFUZZ_STAT]		= "stat",
	[ZSFUZZ_CGROUP_CREATE]	= "cgroup_create",
	[ZSFUZZ_CGROUP_REMOVE]	= "cgroup_remove",
	[ZSFUZZ_CLASSES]	= "classes",
	[ZSFUZZ_ZSWAP_MAX]	= "zswap_max",
	[ZSFUZZ_MAY_ZSWAP]	= "may_zswap",
	[ZSFUZZ_COMPACT_MEMORY]	= "compact_memory",
	[ZSFUZZ_PAGE_WRITE]	= "page_write",
	[ZSFUZZ_PAGE_OUT]	= "page_out",
	[ZSFUZZ_PAGE_IN]	= "page_in",
	[ZSFUZZ_PAGE_DROP]	= "page_drop",
	[ZSFUZZ_PAGE_EXIT]	= "page_exit",
	[ZSFUZZ_WRITEBACK]	= "writeback",
	[ZSFUZZ_SWAP_COMPACT]	= "swap_compact",
	[ZSFUZZ_STAT_FILES]	= "stat_files",
};

/* ---- opening and closing ------------------------------------------------ */

static int user_open(struct inode *inode, struct file *file)
{
	struct user_file *u = kzalloc(sizeof(*u), GFP_KERNEL);

	if (!u)
		return -ENOMEM;
	u->buffer = kvmalloc(OUT_BYTES, GFP_KERNEL);
	if (!u->buffer)
		goto err;
	mutex_lock(&zsf_lock);
	u->session = zsf_session_create();
	mutex_unlock(&zsf_lock);
	if (!u->session)
		goto err;
	u->unread = u->buffer;
	u->out.pos = u->buffer;
	u->out.end = u->buffer + OUT_BYTES;
	file->private_data = u;
	return 0;
err:
	kvfree(u->buffer);
	kfree(u);
	return -ENOMEM;
}

static int user_release(struct inode *inode, struct file *file)
{
	struct user_file *u = file->private_data;

	mutex_lock(&zsf_lock);
	zsf_session_destroy(u->session);
	mutex_unlock(&zsf_lock);
	kvfree(u->buffer);
	kfree(u);
	return 0;
}

/* ---- reading ------------------------------------------------------------ */

static ssize_t user_read(struct file *file, char __user *to, size_t count, loff_t *pos)
{
	struct user_file *u = file->private_data;
	ssize_t n;

	mutex_lock(&zsf_lock);
	n = min_t(size_t, count, u->out.pos - u->unread);
	if (copy_to_user(to, u->unread, n)) {
		n = -EFAULT;
	} else {
		u->unread += n;
		if (u->unread == u->out.pos) {
			u->unread = u->buffer;
			u->out.pos = u->buffer;
			u->out.full = false;
		}
	}
	mutex_unlock(&zsf_lock);
	return n;
}

/* ---- exec --------------------------------------------------------------- */

/* cgroup directories are the caller's business: see ZSFUZZ_IOC_CGROUP. */
static void user_run(struct user_file *u, const struct zsfuzz_op *op,
		     struct zsfuzz_result *res)
{
	struct zsf_call call;

	zsf_op_run(u->session, op, res, &call);
	if (call.action)
		res->ret = -EOPNOTSUPP;
}

static int exec_run(struct user_file *u, const struct zsfuzz_op *ops, size_t n)
{
	struct zsfuzz_result *res;
	size_t i;

	for (i = 0; i < n; i++)
		if (zsf_op_check(&ops[i]))
			return -EINVAL;
	res = zsf_out(&u->out, n * sizeof(*res));
	if (!res) {
		u->out.full = false;
		return -ENOBUFS;	/* read what is there first */
	}
	for (i = 0; i < n; i++)
		user_run(u, &ops[i], &res[i]);
	return 0;
}

static ssize_t exec_write(struct file *file, const char __user *from, size_t count,
			  loff_t *pos)
{
	struct user_file *u = file->private_data;
	struct zsfuzz_op *ops;
	int ret;

	if (!count || count % sizeof(*ops))
		return -EINVAL;
	if (count > ZSFUZZ_MAX_OPS * sizeof(*ops))
		return -E2BIG;
	ops = memdup_user(from, count);
	if (IS_ERR(ops))
		return PTR_ERR(ops);
	mutex_lock(&zsf_lock);
	ret = exec_run(u, ops, count / sizeof(*ops));
	mutex_unlock(&zsf_lock);
	kfree(ops);
	return ret ?: count;
}

static int exec_finish(struct user_file *u)
{
	int ret;

	if (u->out.pos != u->buffer)
		return -ENOBUFS;	/* read what is there first */
	zsf_snapshot(u->session, &u->out);
	zsf_snapshot_end(u->session, &u->out);
	ret = zsf_session_reset(u->session);
	if (u->out.full) {
		u->out.pos = u->buffer;
		u->out.full = false;
		ret = ret ?: -ENOBUFS;	/* all was freed, nothing can be read */
	}
	return ret;
}

static long user_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct user_file *u = file->private_data;
	struct zsfuzz_cgroup_fd cgroup;
	int ret = -ENOTTY;

	mutex_lock(&zsf_lock);
	switch (cmd) {
	case ZSFUZZ_IOC_FINISH:
		ret = exec_finish(u);
		break;
	case ZSFUZZ_IOC_CGROUP:
		ret = -EFAULT;
		if (!copy_from_user(&cgroup, (void __user *)arg, sizeof(cgroup)))
			ret = zsf_cgroup_register(&cgroup);
		break;
	}
	mutex_unlock(&zsf_lock);
	return ret;
}

static const struct file_operations exec_fops = {
	.owner		= THIS_MODULE,
	.open		= user_open,
	.release	= user_release,
	.read		= user_read,
	.write		= exec_write,
	.unlocked_ioctl	= user_ioctl,
};

/* ---- ops, as text ------------------------------------------------------- */

static int parse_field(char *word, struct zsfuzz_op *op)
{
	char *value = strchr(word, '=');
	u16 number;
	int ret;

	if (!value)
		return -EINVAL;
	*value++ = '\0';
	ret = kstrtou16(value, 0, &number);
	if (ret)
		return ret;
	if (!strcmp(word, "size"))
		op->size = number;
	else if (!strcmp(word, "arg"))
		op->arg = number;
	else if (number > 0xff)
		return -ERANGE;
	else if (!strcmp(word, "o"))
		op->object = number;
	else if (!strcmp(word, "p"))
		op->pool = number;
	else if (!strcmp(word, "c"))
		op->owner = number;
	else
		return -EINVAL;
	return 0;
}

static int parse_line(char *line, struct zsfuzz_op *op)
{
	char *word = strsep(&line, " ");
	int name, ret;

	name = match_string(op_names, ARRAY_SIZE(op_names), word);
	if (name < 0)
		return -EINVAL;
	*op = (struct zsfuzz_op) { .op = name, .owner = ZSFUZZ_NO_OWNER };
	while ((word = strsep(&line, " "))) {
		if (!*word)
			continue;
		ret = parse_field(word, op);
		if (ret)
			return ret;
	}
	return zsf_op_check(op);
}

/* As text "nothing" is -1. */
static int shown8(u8 field)
{
	return field == ZSFUZZ_NONE8 ? -1 : field;
}

static int shown16(u16 field)
{
	return field == ZSFUZZ_NONE16 ? -1 : field;
}

static int put_text(struct user_file *u, const struct zsfuzz_op *op,
		     const struct zsfuzz_result *res)
{
	char text[200];
	int n;
	u8 *to;

	n = scnprintf(text, sizeof(text),
		      "%s ret=%d z=%d class=%d index=%d owner=%d tail=%d group=%d inuse=%u tags=%#x tag_bits=%#x value=%d faults=%d zspages=%u\n",
		      op_names[op->op], res->ret, shown16(res->zspage),
		      shown8(res->class), shown8(res->index), shown8(res->owner),
		      shown8(res->tail), shown8(res->group), res->inuse, res->tags,
		      res->tag_bits, shown16(res->value), shown16(res->faults),
		      res->zspages);
	to = zsf_out(&u->out, n);
	if (!to) {
		u->out.full = false;
		return -ENOBUFS;	/* read what is there first */
	}
	memcpy(to, text, n);
	return 0;
}

static int ops_run(struct user_file *u, char *text)
{
	struct zsfuzz_result res;
	struct zsfuzz_op op;
	char *line;
	int ret;

	while ((line = strsep(&text, "\n"))) {
		line = strim(line);
		if (!*line || *line == '#')
			continue;
		ret = parse_line(line, &op);
		if (ret)
			return ret;
		user_run(u, &op, &res);
		ret = put_text(u, &op, &res);
		if (ret)
			return ret;
	}
	return 0;
}

static ssize_t ops_write(struct file *file, const char __user *from, size_t count,
			 loff_t *pos)
{
	struct user_file *u = file->private_data;
	char *text;
	int ret;

	if (count > PAGE_SIZE)
		return -E2BIG;
	text = memdup_user_nul(from, count);
	if (IS_ERR(text))
		return PTR_ERR(text);
	mutex_lock(&zsf_lock);
	ret = ops_run(u, text);
	mutex_unlock(&zsf_lock);
	kfree(text);
	return ret ?: count;
}

static const struct file_operations ops_fops = {
	.owner		= THIS_MODULE,
	.open		= user_open,
	.release	= user_release,
	.read		= user_read,
	.write		= ops_write,
};

void zsf_files_init(struct dentry *root)
{
	debugfs_create_file("exec", 0600, root, NULL, &exec_fops);
	debugfs_create_file("ops", 0600, root, NULL, &ops_fops);
}
