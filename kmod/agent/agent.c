// SPDX-License-Identifier: GPL-2.0-only
/*
 * The agent: the guest's init.  Mounts what it needs, loads the module, makes
 * the cgroups, enables KCOV on itself and then serves the ring from inside
 * one blocking ioctl, which comes back for cgroup directories and for pages of
 * processes.  The control line (/dev/ttyS0) carries one line of facts to the host; all that
 * goes wrong is said on the console and ends the guest.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcov.h>
#include <linux/reboot.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "swap.h"
#include "zsfuzz_abi.h"

#define KCOV_ENTRIES	(256 << 10)
#define CGROUP_ROOT	"/cgroup"
#define CGROUP_BASE	CGROUP_ROOT "/zsfuzz"
#define KMEMLEAK	"/sys/kernel/debug/kmemleak"
#define PATIENCE	50	/* times 10 ms */

static int ring_fd = -1;
static char cgroup_path[ZSFUZZ_CGROUPS][128];
static int cgroup_live[ZSFUZZ_CGROUPS];

/* Default parents: see "Names" in docs/PROGRAM.md; 0: the common parent. */
static const int default_parent[ZSFUZZ_CGROUPS] = { 0, 0, 0, 1, 3, 2, 2, -1 };

void agent_say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("zsfuzz-agent: ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
}

static void power_off(void)
{
	sync();
	reboot(LINUX_REBOOT_CMD_POWER_OFF);
	_exit(1);
}

void agent_die(const char *what)
{
	agent_say("%s: %s", what, strerror(errno));
	power_off();
}

/* ---- files --------------------------------------------------------------- */

int agent_write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	n = n < 0 ? -errno : 0;
	close(fd);
	return n;
}

long agent_read_key(const char *path, const char *key)
{
	char name[64];
	long value;
	FILE *f = fopen(path, "re");

	if (!f)
		return -1;
	while (fscanf(f, "%63s %ld", name, &value) == 2)
		if (!strcmp(name, key)) {
			fclose(f);
			return value;
		}
	fclose(f);
	return -1;
}

/* ---- start --------------------------------------------------------------- */

static void mount_one(const char *type, const char *at)
{
	if (mount(type, at, type, 0, NULL) && errno != EBUSY)
		agent_die(at);
}

static void open_console(void)
{
	int fd = open("/dev/console", O_RDWR);

	if (fd < 0)
		return;
	dup2(fd, 0);
	dup2(fd, 1);
	dup2(fd, 2);
	setvbuf(stdout, NULL, _IOLBF, 0);
}

static void load_module(void)
{
	int fd = open("/zsfuzz.ko", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		agent_die("/zsfuzz.ko");
	if (syscall(SYS_finit_module, fd, "", 0))
		agent_die("loading /zsfuzz.ko (see the console above)");
	close(fd);
}

/* Makes current->fail_nth reach zsmalloc's allocations, and print nothing. */
static void allow_faults(void)
{
	static const char * const knobs[][2] = {
		{ "fail_page_alloc/min-order", "0" },
		{ "fail_page_alloc/ignore-gfp-highmem", "N" },
		{ "fail_page_alloc/verbose", "0" },
		{ "failslab/verbose", "0" },
	};
	char path[128];
	unsigned int i;

	for (i = 0; i < sizeof(knobs) / sizeof(knobs[0]); i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s", knobs[i][0]);
		agent_write_file(path, knobs[i][1]);
	}
}

static void enable_kcov(void)
{
	int fd = open("/sys/kernel/debug/kcov", O_RDWR | O_CLOEXEC);
	void *area;

	if (fd < 0)
		return;
	if (ioctl(fd, KCOV_INIT_TRACE, KCOV_ENTRIES))
		agent_die("KCOV_INIT_TRACE");
	area = mmap(NULL, KCOV_ENTRIES * sizeof(long), PROT_READ | PROT_WRITE,
		    MAP_SHARED, fd, 0);
	if (area == MAP_FAILED)
		agent_die("mapping kcov");
	if (madvise(area, KCOV_ENTRIES * sizeof(long), MADV_DONTFORK))
		agent_die("keeping kcov from children");
	if (ioctl(fd, KCOV_ENABLE, KCOV_TRACE_PC))
		agent_die("KCOV_ENABLE");
}

/* ---- cgroups ------------------------------------------------------------- */

static int tell_module(unsigned int number, const char *path)
{
	struct zsfuzz_cgroup_fd req = { .number = number, .fd = -1 };
	int ret = 0;

	if (path) {
		req.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (req.fd < 0)
			return -errno;
	}
	if (ioctl(ring_fd, ZSFUZZ_IOC_CGROUP, &req))
		ret = -errno;
	if (path)
		close(req.fd);
	return ret;
}

static int give_controller(const char *path)
{
	char control[160];

	snprintf(control, sizeof(control), "%s/cgroup.subtree_control", path);
	return agent_write_file(control, "+memory");
}

/* @parent 0: the common parent. */
static int cgroup_create(unsigned int number, unsigned int parent)
{
	const char *in = parent ? cgroup_path[parent] : CGROUP_BASE;
	int ret;

	if (parent) {
		ret = give_controller(in);
		if (ret)
			return ret;
	}
	snprintf(cgroup_path[number], sizeof(cgroup_path[number]), "%.100s/c%u",
		 in, number);
	if (mkdir(cgroup_path[number], 0755))
		return -errno;
	ret = tell_module(number, cgroup_path[number]);
	if (!ret)
		cgroup_live[number] = 1;
	return ret;
}

static int cgroup_remove(unsigned int number)
{
	int ret;

	swap_leave_cgroup(number, CGROUP_ROOT);
	ret = rmdir(cgroup_path[number]) ? -errno : 0;
	swap_left_cgroup(number, ret ? cgroup_path[number] : NULL);
	if (ret)
		return ret;
	cgroup_live[number] = 0;
	return 0;
}

static int tree_create(void)
{
	unsigned int i;
	int ret;

	if (mkdir(CGROUP_BASE, 0755))
		return -errno;
	ret = give_controller(CGROUP_BASE);
	if (ret)
		return ret;
	ret = tell_module(~0u, CGROUP_BASE);
	for (i = 1; !ret && i < ZSFUZZ_CGROUPS; i++)
		if (default_parent[i] >= 0)
			ret = cgroup_create(i, default_parent[i]);
	return ret;
}

/* Children go before parents, whatever the program made of the tree. */
static int tree_remove(void)
{
	unsigned int i, left, before;

	for (left = ZSFUZZ_CGROUPS, before = left + 1; left && left < before;) {
		before = left;
		for (left = 0, i = 1; i < ZSFUZZ_CGROUPS; i++)
			if (cgroup_live[i] && cgroup_remove(i))
				left++;
	}
	if (left)
		return -EBUSY;
	if (rmdir(CGROUP_BASE))
		return -errno;
	return tell_module(~0u, NULL);
}

/* What the removed cgroups left, once the kernel has had time to tidy up. */
static unsigned int wait_for_orphans(void)
{
	unsigned int owners = 0;
	long dying = 0;
	int i;

	for (i = 0; i < PATIENCE; i++) {
		if (ioctl(ring_fd, ZSFUZZ_IOC_ORPHANS, &owners))
			agent_die("ZSFUZZ_IOC_ORPHANS");
		dying = agent_read_key(CGROUP_ROOT "/cgroup.stat", "nr_dying_descendants");
		if (!owners && dying <= 0)
			break;
		usleep(10000);
	}
	return owners + (dying < 0 ? 0 : dying);
}

/* What is lost, and does not change between two scans, goes to the console. */
static void report_leaks(void)
{
	char text[4096];
	ssize_t n;
	int fd = open(KMEMLEAK, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;		/* not in this kernel */
	if (agent_write_file(KMEMLEAK, "scan") || agent_write_file(KMEMLEAK, "scan"))
		agent_die("scanning for leaks");
	while ((n = read(fd, text, sizeof(text))) > 0)
		fwrite(text, 1, n, stdout);
	fflush(stdout);
	close(fd);
}

/* A fresh tree; what is left of the old one is in @req->value. */
static void audit(struct zsfuzz_agent_request *req)
{
	if (access(CGROUP_BASE, F_OK))
		return;		/* no memory cgroups in this kernel */
	req->result = tree_remove();
	if (!req->result) {
		req->value = wait_for_orphans();
		req->result = tree_create();
	}
	if (req->result) {
		errno = -req->result;
		agent_die("rebuilding the cgroups");
	}
	if (req->thorough)
		report_leaks();
}

static void make_cgroups(void)
{
	int ret;

	if (mount("cgroup2", CGROUP_ROOT, "cgroup2", 0, NULL)) {
		agent_say("no cgroups: %s", strerror(errno));
		return;
	}
	if (give_controller(CGROUP_ROOT)) {
		agent_say("no memory controller");
		return;
	}
	ret = tree_create();
	if (ret) {
		errno = -ret;
		agent_die("making the cgroups");
	}
}

/* ---- the control line, and serving --------------------------------------- */

static void tell_host(void)
{
	char facts[512];
	struct termios raw;
	ssize_t n;
	int info = open("/sys/kernel/debug/zsfuzz/info", O_RDONLY | O_CLOEXEC);
	int line = open("/dev/ttyS0", O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (info < 0)
		agent_die("debugfs zsfuzz/info");
	if (line < 0)
		agent_die("/dev/ttyS0");
	if (!tcgetattr(line, &raw)) {
		cfmakeraw(&raw);
		tcsetattr(line, TCSANOW, &raw);
	}
	n = read(info, facts, sizeof(facts) - 8);
	if (n < 0)
		agent_die("reading zsfuzz/info");
	memcpy(facts + n, "ready\n", 6);
	if (write(line, facts, n + 6) < 0)
		agent_die("writing the control line");
	close(info);
}

static void act(struct zsfuzz_agent_request *req)
{
	req->result = 0;
	req->value = 0;
	switch (req->action) {
	case ZSFUZZ_AGENT_CGROUP_CREATE:
		req->result = cgroup_create(req->cgroup, req->parent == req->cgroup ?
						0 : req->parent);
		break;
	case ZSFUZZ_AGENT_CGROUP_REMOVE:
		req->result = cgroup_remove(req->cgroup);
		break;
	case ZSFUZZ_AGENT_AUDIT:
		audit(req);
		break;
	case ZSFUZZ_AGENT_PAGE_WRITE:
	case ZSFUZZ_AGENT_PAGE_OUT:
	case ZSFUZZ_AGENT_PAGE_IN:
	case ZSFUZZ_AGENT_PAGE_DROP:
	case ZSFUZZ_AGENT_PAGE_EXIT:
	case ZSFUZZ_AGENT_STAT_FILES:
	case ZSFUZZ_AGENT_DRAIN:
		swap_act(req, req->cgroup ? cgroup_path[req->cgroup] : NULL);
		break;
	case ZSFUZZ_AGENT_EXIT:
		power_off();
	}
}

int main(void)
{
	struct zsfuzz_agent_request req = { 0 };

	mount_one("devtmpfs", "/dev");
	open_console();
	mount_one("proc", "/proc");
	mount_one("sysfs", "/sys");
	mount_one("debugfs", "/sys/kernel/debug");
	allow_faults();
	load_module();
	ring_fd = open("/sys/kernel/debug/zsfuzz/ring", O_RDWR | O_CLOEXEC);
	if (ring_fd < 0)
		agent_die("debugfs zsfuzz/ring");
	make_cgroups();
	swap_start(ring_fd);
	enable_kcov();
	tell_host();
	for (;;) {
		if (ioctl(ring_fd, ZSFUZZ_IOC_SERVE, &req))
			agent_die("serving the ring");
		act(&req);
	}
}
