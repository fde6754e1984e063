// SPDX-License-Identifier: GPL-2.0-only
/*
 * Processes whose pages are swapped.  The agent keeps one process for each
 * cgroup that a program writes pages in; it maps an area of anonymous memory
 * and does what it is told over a pipe.  Swap is a zram disk behind zswap.
 */
#define _GNU_SOURCE		/* pipe2() */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "swap.h"

#define PAGE		4096ul
#define SPACING		(2 * PAGE)	/* no neighbours: swap entries are freed one by one */
#define DISK_PAGES	1024
#define DISK		"/dev/zram0"
#define ZSWAP		"/sys/module/zswap/parameters/"
#define NOBODY		ZSFUZZ_CGROUPS		/* cgroup of a process that outlived its own */
#define MAX_PROCESSES	(ZSFUZZ_PAGES + ZSFUZZ_CGROUPS)

#define PM_PRESENT	(1ull << 63)
#define PM_SWAPPED	(1ull << 62)

struct process {
	pid_t		pid;		/* 0: this entry is free */
	unsigned int	cgroup;
	uint64_t	pages;		/* bit v: v<v> is its */
	int		tell;
	int		hear;
	int		mem;
	int		pagemap;
};

static struct process processes[MAX_PROCESSES];
static struct process *owner_of[ZSFUZZ_PAGES];
static unsigned char written[ZSFUZZ_PAGES];	/* patterns */
static unsigned char *area;			/* at the same place in all processes */

/* ---- contents ------------------------------------------------------------ */

/* Bytes of noise in a page of each pattern; the rest is one byte again and again. */
static const unsigned short noise[ZSFUZZ_PATTERNS] = {
	0, 0, 24, 100, 250, 500, 800, 1100,
	1400, 1700, 2050, 2400, 2800, 3250, 3680, 4096,
};

/*
 * Pattern 0 is zeros, pattern 1 one word again and again, 15 does not
 * compress.  From 2 on, pages of one pattern differ in their first word.
 */
static void fill(unsigned char *page, unsigned int number, unsigned int pattern)
{
	uint32_t state = 0x9e3779b9u * (pattern + 1);
	uint64_t mark = 0x9e3779b97f4a7c15ull * (number * ZSFUZZ_PATTERNS + pattern + 1);
	unsigned int i;

	memset(page, pattern ? 0xa0 + pattern : 0, PAGE);
	if (pattern < 2)
		return;
	for (i = 0; i < noise[pattern]; i++) {
		state = state * 1664525u + 1013904223u;
		page[i] = state >> 24;
	}
	memcpy(page, &mark, sizeof(mark));
}

/* The pattern that page @number has, ZSFUZZ_NONE8: none of them. */
static unsigned int pattern_of(const unsigned char *page, unsigned int number)
{
	unsigned char expected[PAGE];
	unsigned int pattern;

	for (pattern = 0; pattern < ZSFUZZ_PATTERNS; pattern++) {
		fill(expected, number, pattern);
		if (!memcmp(page, expected, PAGE))
			return pattern;
	}
	return ZSFUZZ_NONE8;
}

/* ---- what a process does -------------------------------------------------- */

enum order { TOUCH, DROP };

struct message {
	unsigned char	order;
	unsigned char	page;
};

/* What the agent has open for other processes must not live as long as this one. */
static void close_others(int one, int another)
{
	unsigned int low = one < another ? one : another;
	unsigned int high = one < another ? another : one;

	if (low > 3)
		syscall(SYS_close_range, 3u, low - 1, 0u);
	if (high - low > 1)
		syscall(SYS_close_range, low + 1, high - 1, 0u);
	syscall(SYS_close_range, high + 1, ~0u, 0u);
}

static _Noreturn void obey(int orders, int answers)
{
	struct message message;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close_others(orders, answers);
	while (read(orders, &message, sizeof(message)) == sizeof(message)) {
		unsigned char *page = area + message.page * SPACING;
		unsigned char answer = 0;

		if (message.order == TOUCH)
			__atomic_load_n(page, __ATOMIC_SEQ_CST);	/* a fault of its own */
		else if (madvise(page, PAGE, MADV_DONTNEED))
			answer = errno;
		if (write(answers, &answer, 1) != 1)
			break;
	}
	_exit(0);
}

static int order(struct process *p, enum order what, unsigned int page)
{
	struct message message = { .order = what, .page = page };
	unsigned char answer;

	if (write(p->tell, &message, sizeof(message)) != sizeof(message) ||
	    read(p->hear, &answer, 1) != 1)
		return -ECHILD;		/* it died: SIGBUS, or no memory */
	return -(int)answer;
}

/* ---- processes ------------------------------------------------------------ */

static struct process *find_process(unsigned int cgroup)
{
	unsigned int i;

	for (i = 0; i < MAX_PROCESSES; i++)
		if (processes[i].pid && processes[i].cgroup == cgroup)
			return &processes[i];
	return NULL;
}

static struct process *free_process(void)
{
	unsigned int i;

	for (i = 0; i < MAX_PROCESSES; i++)
		if (!processes[i].pid)
			return &processes[i];
	return NULL;
}

static int open_of(pid_t pid, const char *name, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return open(path, flags | O_CLOEXEC);
}

static void end_process(struct process *p)
{
	unsigned int i;

	kill(p->pid, SIGKILL);
	while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
		;
	close(p->tell);
	close(p->hear);
	close(p->mem);
	close(p->pagemap);
	for (i = 0; i < ZSFUZZ_PAGES; i++)
		if (owner_of[i] == p)
			owner_of[i] = NULL;
	memset(p, 0, sizeof(*p));
}

static int move_process(pid_t pid, const char *cgroup_path)
{
	char path[192], text[16];

	snprintf(path, sizeof(path), "%.128s/cgroup.procs", cgroup_path);
	snprintf(text, sizeof(text), "%d", (int)pid);
	return agent_write_file(path, text);
}

/* A process may only be where no controller is given on to children. */
static void keep_controller(const char *cgroup_path)
{
	char path[192];

	snprintf(path, sizeof(path), "%.128s/cgroup.subtree_control", cgroup_path);
	agent_write_file(path, "-memory");
}

static int fork_process(struct process *p)
{
	int orders[2], answers[2];

	if (pipe2(orders, O_CLOEXEC) || pipe2(answers, O_CLOEXEC))
		return -errno;
	p->pid = fork();
	if (p->pid < 0)
		return -errno;
	if (!p->pid) {
		close(orders[1]);
		close(answers[0]);
		obey(orders[0], answers[1]);
	}
	close(orders[0]);
	close(answers[1]);
	p->tell = orders[1];
	p->hear = answers[0];
	p->mem = open_of(p->pid, "mem", O_RDWR);
	p->pagemap = open_of(p->pid, "pagemap", O_RDONLY);
	return p->mem < 0 || p->pagemap < 0 ? -errno : 0;
}

/* @cgroup_path NULL: the root cgroup, where the agent is. */
static int start_process(unsigned int cgroup, const char *cgroup_path, struct process **made)
{
	struct process *p = free_process();
	int ret;

	if (!p)
		return -EMFILE;
	ret = fork_process(p);
	if (ret)
		agent_die("starting a process");
	p->cgroup = cgroup;
	p->pages = 0;
	if (cgroup_path) {
		keep_controller(cgroup_path);
		ret = move_process(p->pid, cgroup_path);
	}
	if (ret)
		end_process(p);
	else
		*made = p;
	return ret;
}

/* ---- pages ---------------------------------------------------------------- */

static off_t address_of(unsigned int page)
{
	return (off_t)(uintptr_t)(area + page * SPACING);
}

/* What copying a page of another process gave: of one that died, 0 bytes and no errno. */
static int copied(ssize_t n)
{
	if (n < 0)
		return -errno;
	return n == (ssize_t)PAGE ? 0 : -EIO;
}

static int page_write(unsigned int cgroup, const char *cgroup_path, unsigned int page,
		      unsigned int pattern)
{
	struct process *p = owner_of[page];
	unsigned char data[PAGE];
	int ret;

	if (!p)
		p = find_process(cgroup);
	if (!p) {
		ret = start_process(cgroup, cgroup_path, &p);
		if (ret)
			return ret;
	}
	fill(data, page, pattern);
	ret = copied(pwrite(p->mem, data, PAGE, address_of(page)));
	if (ret)
		return ret;
	p->pages |= 1ull << page;
	owner_of[page] = p;
	written[page] = pattern;
	return 0;
}

static int page_entry(unsigned int page, uint64_t *entry)
{
	off_t at = address_of(page) / PAGE * sizeof(*entry);

	if (pread(owner_of[page]->pagemap, entry, sizeof(*entry), at) != sizeof(*entry))
		return -EIO;
	return 0;
}

/* MADV_PAGEOUT on behalf of its process. */
static int page_out(unsigned int page, uint64_t *entry)
{
	struct process *p = owner_of[page];
	struct iovec where = { area + page * SPACING, PAGE };
	int pidfd, ret = 0;

	pidfd = syscall(SYS_pidfd_open, p->pid, 0);
	if (pidfd < 0)
		return -errno;
	if (syscall(SYS_process_madvise, pidfd, &where, 1ul, MADV_PAGEOUT, 0) < 0)
		ret = -errno;
	close(pidfd);
	return ret ?: page_entry(page, entry);
}

/* Reads a page, which swaps it in; @pattern is what was found in it. */
static int page_read(unsigned int page, uint32_t *pattern)
{
	unsigned char data[PAGE];

	int ret = copied(pread(owner_of[page]->mem, data, PAGE, address_of(page)));

	if (!ret)
		*pattern = pattern_of(data, page);
	return ret;
}

static int page_in(unsigned int page, int by_itself, uint32_t *pattern)
{
	int ret = by_itself ? order(owner_of[page], TOUCH, page) : 0;

	return ret ?: page_read(page, pattern);
}

static int page_drop(unsigned int page)
{
	struct process *p = owner_of[page];
	int ret = order(p, DROP, page);

	if (ret)
		return ret;
	owner_of[page] = NULL;
	p->pages &= ~(1ull << page);
	if (!p->pages && p->cgroup == NOBODY)
		end_process(p);
	return 0;
}

static int page_exit(unsigned int cgroup)
{
	struct process *p = find_process(cgroup);

	if (!p)
		return -ESRCH;
	end_process(p);
	return 0;
}

/* The cgroup is about to be removed: its process moves, its pages stay where they are. */
void swap_leave_cgroup(unsigned int number, const char *root_path)
{
	struct process *p = find_process(number);

	if (p && move_process(p->pid, root_path))
		agent_die("moving a process to the root cgroup");
}

/* The cgroup was removed, or @kept: its process goes back. */
void swap_left_cgroup(unsigned int number, const char *kept)
{
	struct process *p = find_process(number);

	if (!p)
		return;
	if (kept) {
		if (move_process(p->pid, kept))
			agent_die("moving a process back to its cgroup");
	} else if (p->pages) {
		p->cgroup = NOBODY;
	} else {
		end_process(p);
	}
}

void swap_forget_all(void)
{
	unsigned int i;

	for (i = 0; i < MAX_PROCESSES; i++)
		if (processes[i].pid)
			end_process(&processes[i]);
	/* New pages are in a batch at first, which keeps them and their cgroup: drain it. */
	if (area && madvise(area, PAGE, MADV_COLD))
		agent_die("draining the batches of pages");
}

/* Reads all pages and ends all processes; counts the pages with other contents. */
static int drain(uint32_t *wrong)
{
	unsigned int i;

	*wrong = 0;
	for (i = 0; i < ZSFUZZ_PAGES; i++) {
		uint32_t pattern = ZSFUZZ_NONE8;

		if (owner_of[i] && (page_read(i, &pattern) || pattern != written[i]))
			++*wrong;
	}
	swap_forget_all();
	return 0;
}

/* ---- the files of a cgroup ------------------------------------------------- */

static long read_number(const char *path)
{
	char text[32] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(fd);
	return atol(text);
}

static int stat_files(const char *cgroup_path, struct zsfuzz_agent_request *req)
{
	static const char * const keys[ZSFUZZ_NUMBERS] = {
		[ZSFUZZ_STAT_ZSWAP]		= "zswap",
		[ZSFUZZ_STAT_ZSWAPPED]		= "zswapped",
		[ZSFUZZ_STAT_ZSWAP_INCOMP]	= "zswap_incomp",
		[ZSFUZZ_STAT_ZSWPIN]		= "zswpin",
		[ZSFUZZ_STAT_ZSWPOUT]		= "zswpout",
		[ZSFUZZ_STAT_ZSWPWB]		= "zswpwb",
	};
	char path[192];
	unsigned int i;
	long value;

	snprintf(path, sizeof(path), "%.128s/memory.zswap.current", cgroup_path);
	value = read_number(path);
	if (value < 0)
		return value;
	req->numbers[ZSFUZZ_ZSWAP_CURRENT] = value;
	snprintf(path, sizeof(path), "%.128s/memory.stat", cgroup_path);
	for (i = ZSFUZZ_STAT_ZSWAP; i < ZSFUZZ_NUMBERS; i++) {
		value = agent_read_key(path, keys[i]);
		if (value < 0)
			return -ENODATA;
		req->numbers[i] = value;
	}
	return 0;
}

/* ---- what the module asks -------------------------------------------------- */

void swap_act(struct zsfuzz_agent_request *req, const char *cgroup_path)
{
	uint64_t entry = 0;

	switch (req->action) {
	case ZSFUZZ_AGENT_PAGE_WRITE:
		req->result = page_write(req->cgroup, cgroup_path, req->page, req->arg);
		break;
	case ZSFUZZ_AGENT_PAGE_OUT:
		req->result = page_out(req->page, &entry);
		break;
	case ZSFUZZ_AGENT_PAGE_IN:
		req->result = page_in(req->page, req->arg, &req->value);
		break;
	case ZSFUZZ_AGENT_PAGE_DROP:
		req->result = page_drop(req->page);
		break;
	case ZSFUZZ_AGENT_PAGE_EXIT:
		req->result = page_exit(req->cgroup);
		break;
	case ZSFUZZ_AGENT_STAT_FILES:
		req->result = stat_files(cgroup_path, req);
		break;
	case ZSFUZZ_AGENT_DRAIN:
		req->result = drain(&req->value);
		break;
	}
	req->entry = entry & PM_SWAPPED && !(entry & PM_PRESENT) ? entry : 0;
}

/* ---- setting up ------------------------------------------------------------ */

/* A swap area of DISK_PAGES pages, as mkswap makes it; see union swap_header. */
static int make_swap(int fd)
{
	static unsigned char header[PAGE];
	uint32_t info[3] = { 1, DISK_PAGES - 1, 0 };	/* version, last page, bad pages */

	memcpy(header + 1024, info, sizeof(info));
	memcpy(header + PAGE - 10, "SWAPSPACE2", 10);
	if (pwrite(fd, header, PAGE, 0) != (ssize_t)PAGE || fsync(fd))
		return -errno;
	return 0;
}

static int make_disk(void)
{
	char size[32];
	int fd, ret;

	snprintf(size, sizeof(size), "%lu", DISK_PAGES * PAGE);
	ret = agent_write_file("/sys/block/zram0/disksize", size);
	if (ret)
		return ret;
	fd = open(DISK, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = make_swap(fd);
	if (!ret && swapon(DISK, 0))
		ret = -errno;
	close(fd);
	return ret;
}

static int set_knobs(void)
{
	int ret = agent_write_file(ZSWAP "enabled", "Y");

	if (!ret)
		ret = agent_write_file(ZSWAP "shrinker_enabled", "N");
	if (!ret)
		ret = agent_write_file("/proc/sys/vm/page-cluster", "0");
	return ret;
}

/* How long pages of each pattern get in zswap, or on the disk. */
static void measure(int ring_fd, unsigned int on_disk)
{
	struct zsfuzz_swap_sample sample = { .on_disk = on_disk };
	uint64_t entry;

	if (agent_write_file(ZSWAP "enabled", on_disk ? "N" : "Y"))
		agent_die(ZSWAP "enabled");
	for (sample.pattern = 0; sample.pattern < ZSFUZZ_PATTERNS; sample.pattern++) {
		if (page_write(0, NULL, 0, sample.pattern) || page_out(0, &entry))
			agent_die("swapping a page out");
		if (!(entry & PM_SWAPPED))
			agent_die("a page stays in memory");
		sample.entry = entry;
		if (ioctl(ring_fd, ZSFUZZ_IOC_SWAP, &sample))
			agent_die("ZSFUZZ_IOC_SWAP");
	}
	swap_forget_all();
}

/* Does the module know its way around in zswap and zram? */
static int can_measure(int ring_fd)
{
	struct zsfuzz_swap_sample none = { .pattern = 0 };

	return !ioctl(ring_fd, ZSFUZZ_IOC_SWAP, &none) || errno != EOPNOTSUPP;
}

/* Leaves the ring without ZSFUZZ_HAS_SWAP if this kernel cannot do it. */
void swap_start(int ring_fd)
{
	struct zsfuzz_swap_sample ready = { .pattern = ZSFUZZ_PATTERNS };
	int ret;

	if (access(ZSWAP, F_OK) || access("/sys/block/zram0", F_OK) || !can_measure(ring_fd))
		return;
	signal(SIGPIPE, SIG_IGN);
	area = mmap(NULL, ZSFUZZ_PAGES * SPACING, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		agent_die("mapping the area");
	ret = make_disk();
	if (!ret)
		ret = set_knobs();
	if (ret) {
		agent_say("no swap: %s", strerror(-ret));
		return;
	}
	measure(ring_fd, 1);
	measure(ring_fd, 0);
	if (ioctl(ring_fd, ZSFUZZ_IOC_SWAP, &ready))
		agent_die("ZSFUZZ_IOC_SWAP");
}
