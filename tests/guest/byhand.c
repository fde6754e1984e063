// SPDX-License-Identifier: GPL-2.0-only
/*
 * An init that uses the module's files as people do: test_files.py boots it
 * and compares the lines "byhand: <name> <value>" that it prints.  It has no
 * opinion of its own, and ends the guest when it is done.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "zsfuzz_abi.h"

#define DIR	"/sys/kernel/debug/zsfuzz/"
#define BASE	"/cgroup/zsfuzz"

static const struct zsfuzz_op flush = { .op = ZSFUZZ_FLUSH };
static const struct zsfuzz_op put = {
	.op = ZSFUZZ_MALLOC, .owner = 0, .size = 2720, .arg = 3,
};
static const struct zsfuzz_op drop = { .op = ZSFUZZ_FREE };
static const struct zsfuzz_op look = { .op = ZSFUZZ_READ };

static void say(const char *name, long value)
{
	printf("byhand: %s %ld\n", name, value);
}

/* ---- system calls that tell their errno ----------------------------------- */

static long told(long ret)
{
	return ret < 0 ? -errno : ret;
}

static long load(void)
{
	int fd = open("/zsfuzz.ko", O_RDONLY | O_CLOEXEC);
	long ret = told(syscall(SYS_finit_module, fd, "", 0));

	close(fd);
	return ret;
}

static long unload(void)
{
	return told(syscall(SYS_delete_module, "zsfuzz", O_NONBLOCK));
}

static int open_file(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), DIR "%s", name);
	return told(open(path, O_RDWR | O_CLOEXEC));
}

static long write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	long ret = told(write(fd, text, strlen(text)));

	close(fd);
	return ret;
}

static long zspages(void)
{
	char line[128];
	long found = -1;
	FILE *f = fopen("/proc/vmstat", "re");

	while (fgets(line, sizeof(line), f))
		sscanf(line, "nr_zspages %ld", &found);
	fclose(f);
	return found;
}

static long modules(void)
{
	char line[256];
	long n = 0;
	FILE *f = fopen("/proc/modules", "re");

	while (fgets(line, sizeof(line), f))
		n++;
	fclose(f);
	return n;
}

/* ---- exec ------------------------------------------------------------------ */

static long put_ops(int fd, const struct zsfuzz_op *ops, size_t n)
{
	return told(write(fd, ops, n * sizeof(*ops)));
}

/* The error of one operation, which is run now. */
static long one(int fd, const struct zsfuzz_op *op)
{
	struct zsfuzz_result res;
	long ret = put_ops(fd, op, 1);

	if (ret < 0)
		return ret;
	ret = told(read(fd, &res, sizeof(res)));
	return ret == sizeof(res) ? res.ret : 1000 + ret;
}

static long skip_output(int fd)
{
	static char buffer[4096];
	long n, all = 0;

	while ((n = told(read(fd, buffer, sizeof(buffer)))) > 0)
		all += n;
	return n < 0 ? n : all;
}

static void print_hex(const char *name, const unsigned char *data, long n)
{
	printf("byhand: %s ", name);
	while (n-- > 0)
		printf("%02x", *data++);
	printf("\n");
}

/* A whole program of a file, with its snapshot. */
static void run_program(int fd, const char *name)
{
	static unsigned char program[8 * ZSFUZZ_MAX_OPS], answer[256 << 10];
	int in = open(name, O_RDONLY | O_CLOEXEC);
	long n = read(in, program, sizeof(program)), more;

	close(in);
	n = told(write(fd, program, n));
	if (n >= 0)
		n = told(read(fd, answer, sizeof(answer)));
	more = told(ioctl(fd, ZSFUZZ_IOC_FINISH));
	if (more >= 0)
		more = told(read(fd, answer + n, sizeof(answer) - n));
	if (n < 0 || more < 0)
		say(name, n < 0 ? n : more);
	else
		print_hex(name, answer, n + more);
}

static void refuse_binary(int fd)
{
	static struct zsfuzz_op ops[ZSFUZZ_MAX_OPS + 1];
	unsigned int i;

	say("seven bytes", told(write(fd, &put, 7)));
	say("no bytes", told(write(fd, &put, 0)));
	for (i = 0; i <= ZSFUZZ_MAX_OPS; i++)
		ops[i] = put;
	say("too many", put_ops(fd, ops, ZSFUZZ_MAX_OPS + 1));
	ops[2].op = ZSFUZZ_NR_OPCODES;
	say("bad opcode", put_ops(fd, ops, 3));
	ops[2] = put;
	ops[2].pool = ZSFUZZ_POOLS;
	say("bad pool", put_ops(fd, ops, 3));
	say("output of refused", skip_output(fd));
	say("refused did nothing", one(fd, &drop));
}

static void overflow(int fd)
{
	static struct zsfuzz_op ops[ZSFUZZ_MAX_OPS];
	unsigned int i;
	long ret;

	for (i = 0; i < ZSFUZZ_MAX_OPS; i++)
		ops[i] = flush;
	for (i = 0; (ret = put_ops(fd, ops, ZSFUZZ_MAX_OPS)) > 0; i++)
		;
	say("writes before overflow", i);
	say("overflow", ret);
	say("overflow of one", put_ops(fd, &put, 1));
	say("output kept", skip_output(fd));
	say("overflow did nothing", one(fd, &drop));
	put_ops(fd, &put, 1);
	say("finish with unread output", told(ioctl(fd, ZSFUZZ_IOC_FINISH)));
	say("unread output", skip_output(fd));
	say("finish did nothing", one(fd, &drop));
}

/* ---- ops ------------------------------------------------------------------- */

static void text(int fd, const char *name, const char *lines)
{
	char out[1024], *line, *rest = out;
	long n = told(write(fd, lines, strlen(lines)));

	say(name, n);
	n = told(read(fd, out, sizeof(out) - 1));
	out[n < 0 ? 0 : n] = 0;
	while ((line = strsep(&rest, "\n")))
		if (*line)
			printf("byhand: %s: %s\n", name, line);
}

static void refuse_text(int fd)
{
	static const char * const bad[][2] = {
		{ "no such operation", "mallok o=0 p=0 size=100" },
		{ "no such field", "malloc o=0 p=0 size=100 q=1" },
		{ "no value", "malloc o=0 p=0 size" },
		{ "no number", "malloc o=0 p=0 size=many" },
		{ "pool too high", "malloc o=0 p=4 size=100" },
		{ "owner too high", "malloc o=0 p=0 size=100 c=9" },
		{ "object too high", "malloc o=256 p=0 size=100" },
		{ "size too high", "malloc o=0 p=0 size=65536" },
	};
	static char page[8192];
	unsigned int i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		text(fd, bad[i][0], bad[i][1]);
	text(fd, "after bad lines", "free o=0");
	memset(page, '\n', sizeof(page) - 1);
	text(fd, "too long", page);
}

/* ---- cgroups --------------------------------------------------------------- */

static long register_dir(int fd, unsigned int number, const char *path)
{
	struct zsfuzz_cgroup_fd req = { .number = number, .fd = -1 };
	long ret;

	if (path)
		req.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ret = told(ioctl(fd, ZSFUZZ_IOC_CGROUP, &req));
	if (path)
		close(req.fd);
	return ret;
}

/* The tree that docs/PROGRAM.md says every program finds. */
static void make_cgroups(int fd)
{
	static const char * const path[] = {
		BASE, BASE "/c1", BASE "/c2", BASE "/c1/c3", BASE "/c1/c3/c4",
		BASE "/c2/c5", BASE "/c2/c6",
	};
	char control[128];
	unsigned int i;
	long ret = 0;

	mount("cgroup2", "/cgroup", "cgroup2", 0, NULL);
	write_text("/cgroup/cgroup.subtree_control", "+memory");
	for (i = 0; i < 7; i++) {
		ret |= mkdir(path[i], 0755);
		snprintf(control, sizeof(control), "%s/cgroup.subtree_control", path[i]);
		if (i != 4 && i < 5)
			write_text(control, "+memory");
		ret |= register_dir(fd, i ? i : ~0u, path[i]);
	}
	say("cgroups", ret);
	say("cgroup twice", register_dir(fd, 1, path[1]));
	say("cgroup too high", register_dir(fd, ZSFUZZ_CGROUPS, path[1]));
	say("root cannot be another", register_dir(fd, 0, path[1]));
	say("no cgroup", register_dir(fd, 7, "/proc"));
	say("no directory", register_dir(fd, 7, "/nothing"));
	say("directory is user space's to make",
	    one(fd, &(struct zsfuzz_op){ .op = ZSFUZZ_CGROUP_CREATE, .owner = 7, .arg = 1 }));
	say("directory is user space's to remove",
	    one(fd, &(struct zsfuzz_op){ .op = ZSFUZZ_CGROUP_REMOVE, .owner = 4 }));
}

/* ---- swap ------------------------------------------------------------------ */

/* What the agent says of its disk, by one who has none. */
static long sample(int fd, unsigned int pattern, unsigned long long entry)
{
	struct zsfuzz_swap_sample told_module = { .pattern = pattern, .entry = entry };

	return told(ioctl(fd, ZSFUZZ_IOC_SWAP, &told_module));
}

static void refuse_samples(int fd)
{
	say("sample of no disk", sample(fd, 0, 0));
	say("sample of no type", sample(fd, 0, ~0ull));
	say("sample of no pattern", sample(fd, ZSFUZZ_PATTERNS + 1, 0));
	say("ready without samples", sample(fd, ZSFUZZ_PATTERNS, 0));
}

/* ---- the parts ------------------------------------------------------------- */

static void with_exec(void)
{
	int fd = open_file("exec");
	char name[32];
	int i;

	refuse_binary(fd);
	overflow(fd);
	make_cgroups(fd);
	say("finish", told(ioctl(fd, ZSFUZZ_IOC_FINISH)));
	skip_output(fd);
	for (i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "/program-%d", i);
		if (!access(name, R_OK))
			run_program(fd, name);
	}
	say("unknown ioctl", told(ioctl(fd, _IO('z', 99))));
	close(fd);
}

static void with_ops(void)
{
	int fd = open_file("ops");

	text(fd, "README", "malloc o=0 p=0 size=2720 c=0 arg=3\n");
	close(fd);
	fd = open_file("ops");
	text(fd, "text", "# a comment\n\n  malloc o=0 p=0 size=1000 c=0 arg=3\n"
			 "malloc o=1 p=1 size=0x20\nread o=0\nfree o=1 \nfree o=1\n");
	text(fd, "kept for the next write", "free o=0");
	refuse_text(fd);
	close(fd);
}

static void two_files(void)
{
	int one_fd = open_file("exec"), other = open_file("exec");

	say("one puts", one(one_fd, &put));
	say("other has nothing", one(other, &drop));
	say("other puts", one(other, &put));
	say("other drops", one(other, &drop));
	say("other finishes", told(ioctl(other, ZSFUZZ_IOC_FINISH)));
	close(other);
	say("one still has it", one(one_fd, &look));
	close(one_fd);
}

static void closing(void)
{
	struct zsfuzz_op op = put;
	int fd = open_file("exec");
	unsigned int i;

	say("zspages before", zspages());
	for (i = 0; i < 100; i++) {
		op.object = i;
		one(fd, &op);
	}
	say("some zspages", zspages() > 20);
	say("read lock", one(fd, &(struct zsfuzz_op){ .op = ZSFUZZ_READ_LOCK, .object = 1 }));
	say("page lock", one(fd, &(struct zsfuzz_op){ .op = ZSFUZZ_LOCK_PAGE, .object = 50 }));
	say("free under lock",
	    one(fd, &(struct zsfuzz_op){ .op = ZSFUZZ_FREE, .object = 50 }));
	close(fd);
	say("zspages after", zspages());
}

static void unloading(void)
{
	int fd = open_file("exec");

	say("unload while open", unload());
	say("works still", one(fd, &put));
	close(fd);
	fd = open_file("ring");
	say("ring twice", open_file("ring"));
	refuse_samples(fd);
	say("unload while ring open", unload());
	close(fd);
	say("modules", modules());
	say("unload", unload());
	say("modules after", modules());
	say("files after", access(DIR, F_OK) ? -errno : 0);
	say("zspages after unload", zspages());
	if (access("/load-again", F_OK))
		return;
	say("load again", load());
	fd = open_file("exec");
	say("works again", one(fd, &put));
	close(fd);
	say("unload again", unload());
}

int main(void)
{
	long loaded;
	int fd;

	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	fd = open("/dev/console", O_RDWR);
	dup2(fd, 1);
	setvbuf(stdout, NULL, _IOLBF, 0);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	loaded = load();
	say("load", loaded);
	if (!loaded) {
		closing();
		with_exec();
		with_ops();
		two_files();
		unloading();
	}
	say("done", 0);
	fflush(stdout);
	reboot(LINUX_REBOOT_CMD_POWER_OFF);
}
