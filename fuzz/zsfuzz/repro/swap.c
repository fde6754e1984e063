/* ---- pages of processes: what is swapped --------------------------------------- */

/*
 * One process for each cgroup in which the program writes pages; swap is a zram
 * disk behind zswap.  The module does not take part: what became of a page shows
 * in the files of the cgroups, and after each step all of them are looked at.
 */
#define PAGE		4096ul
#define PAGES		64
#define SPACING		(2 * PAGE)	/* no neighbours: swap entries are freed one by one */
#define DISK_PAGES	1024
#define DISK		"/dev/zram0"
#define ZSWAP		"/sys/module/zswap/parameters/"
#define STORED		DEBUGFS "/zswap/stored_pages"
#define PATTERNS	16
#define NOISE		15		/* the pattern that does not compress */
#define UNKNOWN		0xff
#define NOBODY		CGROUPS		/* cgroup of a process that outlived its own */
#define MAX_PROCESSES	(PAGES + CGROUPS)
#define MAX_ROUNDS	64		/* of zswap's shrink worker */
#define PM_SWAPPED	(1ull << 62)

struct process {
	pid_t pid;			/* 0: this entry is free */
	unsigned int cgroup;
	uint64_t pages;			/* bit v: v<v> is its */
	int tell, hear, mem, pagemap;
};

enum order { TOUCH, DROP };

struct message {
	unsigned char order, page;
};

static struct process processes[MAX_PROCESSES];
static struct process *owner_of[PAGES];
static unsigned char written[PAGES];	/* patterns */
static unsigned char *area;		/* at the same place in all processes */
static unsigned char *spare;		/* a page that pushes others out */
static long zspages_before;
static struct account now[CGROUPS], root_before;

static void must(int ret, const char *what)
{
	if (!ret)
		return;
	errno = -ret;
	cannot(what);
}

/*
 * Pattern 0 is zeros, pattern 1 one byte again and again, 15 does not compress.
 * From 2 on, pages of one pattern differ in their first word.
 */
static void fill(unsigned char *page, unsigned int number, unsigned int pattern)
{
	static const unsigned short noise[PATTERNS] = {
		0, 0, 24, 100, 250, 500, 800, 1100,
		1400, 1700, 2050, 2400, 2800, 3250, 3680, 4096,
	};
	uint32_t state = 0x9e3779b9u * (pattern + 1);
	uint64_t mark = 0x9e3779b97f4a7c15ull * (number * PATTERNS + pattern + 1);
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

static unsigned int pattern_of(const unsigned char *page, unsigned int number)
{
	unsigned char expected[PAGE];
	unsigned int pattern;

	for (pattern = 0; pattern < PATTERNS; pattern++) {
		fill(expected, number, pattern);
		if (!memcmp(page, expected, PAGE))
			return pattern;
	}
	return UNKNOWN;
}

static _Noreturn void obey(int orders, int answers)
{
	struct message message;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(orders, &message, sizeof(message)) == sizeof(message)) {
		unsigned char *page = area + message.page * SPACING, answer = 0;

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

static struct process *find_process(unsigned int cgroup, int used)
{
	unsigned int i;

	for (i = 0; i < MAX_PROCESSES; i++)
		if (!!processes[i].pid == used && (!used || processes[i].cgroup == cgroup))
			return &processes[i];
	return NULL;
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
	for (i = 0; i < PAGES; i++)
		if (owner_of[i] == p)
			owner_of[i] = NULL;
	memset(p, 0, sizeof(*p));
}

static int move_process(pid_t pid, const char *cgroup)
{
	char path[300], text[16];

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	snprintf(text, sizeof(text), "%d", (int)pid);
	return write_file(path, text);
}

static int open_of(pid_t pid, const char *name, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return open(path, flags | O_CLOEXEC);
}

static const char *path_of(unsigned int cgroup)
{
	return cgroup ? cgroup_path[cgroup] : cgroup_root;
}

/* A process may only be where no controller is given on to children. */
static struct process *start_process(unsigned int cgroup)
{
	struct process *p = find_process(0, 0);
	int orders[2], answers[2];
	char control[300];

	if (pipe2(orders, O_CLOEXEC) || pipe2(answers, O_CLOEXEC))
		cannot("pipes");
	p->cgroup = cgroup;
	p->pid = fork();
	if (p->pid < 0)
		cannot("starting a process");
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
	if (p->mem < 0 || p->pagemap < 0)
		cannot("memory of a process");
	if (cgroup) {
		snprintf(control, sizeof(control), "%s/cgroup.subtree_control", path_of(cgroup));
		write_file(control, "-memory");
	}
	must(move_process(p->pid, path_of(cgroup)), "moving a process to its cgroup");
	return p;
}

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

static int page_write(unsigned int cgroup, unsigned int page, unsigned int pattern)
{
	struct process *p = owner_of[page];
	unsigned char data[PAGE];
	int ret;

	if (!p)
		p = find_process(cgroup, 1);
	if (!p)
		p = start_process(cgroup);
	fill(data, page, pattern);
	ret = copied(pwrite(p->mem, data, PAGE, address_of(page)));
	if (ret)
		return ret;
	p->pages |= 1ull << page;
	owner_of[page] = p;
	written[page] = pattern;
	return 0;
}

/* MADV_PAGEOUT on behalf of its process; -EAGAIN: the page stays in memory. */
static int page_out(unsigned int page)
{
	struct process *p = owner_of[page];
	struct iovec where = { area + page * SPACING, PAGE };
	off_t at = address_of(page) / PAGE * sizeof(uint64_t);
	int pidfd = syscall(SYS_pidfd_open, p->pid, 0), ret = 0;
	uint64_t entry;

	if (pidfd < 0 ||
	    syscall(SYS_process_madvise, pidfd, &where, 1ul, MADV_PAGEOUT, 0) < 0)
		ret = -errno;
	close(pidfd);
	if (!ret && pread(p->pagemap, &entry, sizeof(entry), at) != sizeof(entry))
		ret = -EIO;
	if (!ret && !(entry & PM_SWAPPED))
		ret = -EAGAIN;
	return ret;
}

/* Reads a page, which swaps it in; @pattern is what was found in it. */
static int page_in(unsigned int page, int by_itself, long *pattern)
{
	int ret = by_itself ? order(owner_of[page], TOUCH, page) : 0;
	unsigned char data[PAGE];

	if (!ret)
		ret = copied(pread(owner_of[page]->mem, data, PAGE, address_of(page)));
	if (!ret)
		*pattern = pattern_of(data, page);
	return ret;
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

/* A page of the root's, which zswap does not take at a limit of nothing, wakes its worker. */
static void push(void)
{
	fill(spare, 0, NOISE);
	if (madvise(spare, PAGE, MADV_PAGEOUT) || madvise(spare, PAGE, MADV_DONTNEED))
		cannot("swapping a page out");
	usleep(10000);
}

static long writeback(long *left)
{
	char before[16];
	long stored = read_key(STORED, "");
	int i;

	snprintf(before, sizeof(before), "%ld", read_key(ZSWAP "max_pool_percent", ""));
	must(write_file(ZSWAP "max_pool_percent", "0"), ZSWAP "max_pool_percent");
	for (i = 0; i < MAX_ROUNDS && read_key(STORED, "") > 0; i++)
		push();
	write_file(ZSWAP "max_pool_percent", before);
	*left = read_key(STORED, "");
	return stored - *left;
}

/* The cgroup is about to be removed: its process moves, its pages stay where they are. */
static void leave_cgroup(unsigned int number)
{
	struct process *p = find_process(number, 1);

	if (p)
		must(move_process(p->pid, cgroup_root), "moving a process to the root cgroup");
}

/* The cgroup was removed. */
static void left_cgroup(unsigned int number)
{
	struct process *p = find_process(number, 1);

	if (p && p->pages)
		p->cgroup = NOBODY;
	else if (p)
		end_process(p);
}

static void put(uint8_t *record, const char *name, long value)
{
	const struct field *field = result.field;
	int i;

	while (strcmp(field->name, name))
		field++;
	for (i = 0; i < field->size; i++)
		record[field->offset + i] = value >> 8 * i;
}

/* What the files say may be old: the module flushes it whenever it is asked for charges. */
static void flush_statistics(void)
{
	static const uint8_t op[8] = { OP_STAT };	/* c0 */
	uint8_t answer[RESULT_BYTES];

	if (write(exec_fd, op, sizeof(op)) != sizeof(op) ||
	    read(exec_fd, answer, sizeof(answer)) != sizeof(answer))
		cannot("flushing statistics");
}

static struct account read_account(unsigned int cgroup)
{
	struct account found = { .cgroup = cgroup };
	char path[300];

	snprintf(path, sizeof(path), "%s/memory.stat", path_of(cgroup));
	found.zswpin = read_key(path, "zswpin ");
	found.zswpout = read_key(path, "zswpout ");
	found.zswpwb = read_key(path, "zswpwb ");
	if (!cgroup)
		return found;		/* the root is not charged */
	found.zswapped = read_key(path, "zswapped ") / (long)PAGE;
	found.incompressible = read_key(path, "zswap_incomp ") / (long)PAGE;
	found.zswap = read_key(path, "zswap ");
	snprintf(path, sizeof(path), "%s/memory.zswap.current", path_of(cgroup));
	if (found.zswap != read_key(path, ""))
		found.zswap = -1;
	return found;
}

static void compare_account(const char *where, unsigned int c)
{
	struct account found = read_account(c), *expected = &now[c];
	const struct account *before = c ? &(struct account){ 0 } : &root_before;
	const struct { const char *name; long expected, found; } fields[] = {
		{ "memory.zswap.current, bytes", expected->zswap, found.zswap },
		{ "zswapped, pages", expected->zswapped, found.zswapped },
		{ "zswap_incomp, pages", expected->incompressible, found.incompressible },
		{ "zswpin", expected->zswpin, found.zswpin - before->zswpin },
		{ "zswpout", expected->zswpout, found.zswpout - before->zswpout },
		{ "zswpwb", expected->zswpwb, found.zswpwb - before->zswpwb },
	};
	char what[64];
	unsigned int i;

	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		snprintf(what, sizeof(what), "c%u's %s", c, fields[i].name);
		if (fields[i].expected != fields[i].found)
			differs(where, what, fields[i].expected, fields[i].found);
	}
}

static void stat_files(unsigned int cgroup, uint8_t *answer)
{
	struct account found = read_account(cgroup);

	put(answer, "value", found.zswap);
	put(answer, "tags", found.zswap >> 16);
	put(answer, "inuse", found.zswapped);
	put(answer, "index", found.incompressible);
}

static int act(const uint8_t *op, uint8_t *answer)
{
	unsigned int page = op[1] % PAGES;
	long value, left;
	int ret = 0;

	switch (op[0]) {
	case OP_PAGE_WRITE:
		return page_write(op[3], page, op[6] % PATTERNS);
	case OP_PAGE_OUT:
		return page_out(page);
	case OP_PAGE_IN:
		ret = page_in(page, op[6] & 1, &value);
		put(answer, "value", value);
		return ret;
	case OP_PAGE_DROP:
		return page_drop(page);
	case OP_PAGE_EXIT:
		end_process(find_process(op[3], 1));
		return 0;
	case OP_WRITEBACK:
		put(answer, "value", writeback(&left));
		put(answer, "inuse", left);
		return 0;
	case OP_SWAP_COMPACT:
		return write_file("/sys/block/zram0/compact", "1");
	case OP_STAT_FILES:
		stat_files(op[3], answer);
	}
	return ret;
}

/*
 * The module has answered that it does not do this.  Where a page lies in zswap's
 * pool or the disk's cannot be seen from here, and is taken to be as expected; so
 * is that what is against the rules fails.
 */
static void act_on_pages(const struct step *step, uint8_t *answer)
{
	long faults = member(&result, "faults", answer);

	memcpy(answer, step->expected, RESULT_BYTES);
	put(answer, "faults", faults);
	if (!member(&result, "ret", answer))
		put(answer, "ret", act(step->op, answer));
	put(answer, "zspages", read_key("/proc/vmstat", "nr_zspages ") - zspages_before);
}

/* All that the files say of each cgroup, which is as after step @i. */
static void check_accounts(const char *where, unsigned int i)
{
	static unsigned int next;
	unsigned int c;

	for (; accounts[next].step <= i; next++)
		now[accounts[next].cgroup] = accounts[next];
	flush_statistics();
	for (c = 0; c < CGROUPS; c++)
		if (!c || *cgroup_path[c])
			compare_account(where, c);
}

/* Reads all pages, then ends the processes: nothing is left in swap. */
static void drain(void)
{
	unsigned int i, wrong = 0;
	long pattern;

	for (i = 0; i < PAGES; i++)
		if (owner_of[i] && (page_in(i, 0, &pattern) || pattern != written[i]))
			wrong++;
	if (wrong)
		differs("after the last step", "pages with another content", 0, wrong);
	for (i = 0; i < MAX_PROCESSES; i++)
		if (processes[i].pid)
			end_process(&processes[i]);
	/* New pages are in a batch at first, which keeps them and their cgroup: drain it. */
	madvise(area, PAGE, MADV_COLD);
}

/*
 * A swap area as mkswap makes it; see union swap_header.  It is noise otherwise,
 * so that on the disk nothing shares a zspage with it.
 */
static void make_disk(void)
{
	static unsigned char header[PAGE];
	uint32_t info[3] = { 1, DISK_PAGES - 1, 0 };	/* version, last page, bad pages */
	char size[32];
	int fd;

	snprintf(size, sizeof(size), "%lu", DISK_PAGES * PAGE);
	must(write_file("/sys/block/zram0/disksize", size), "a disk at zram0");
	fill(header, 0, NOISE);
	memcpy(header + 1024, info, sizeof(info));
	memcpy(header + PAGE - 10, "SWAPSPACE2", 10);
	fd = open(DISK, O_RDWR | O_CLOEXEC);
	if (fd < 0 || pwrite(fd, header, PAGE, 0) != (ssize_t)PAGE || fsync(fd) ||
	    swapon(DISK, 0))
		cannot(DISK);
	close(fd);
}

static unsigned char *map(unsigned long bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		cannot("memory");
	return at;
}

static void swap_start(void)
{
	errno = EBUSY;
	if (read_key("/proc/swaps", "/") >= 0)
		cannot("this guest swaps already");
	signal(SIGPIPE, SIG_IGN);
	area = map(PAGES * SPACING);
	spare = map(PAGE);
	make_disk();
	must(write_file(ZSWAP "enabled", "Y"), ZSWAP "enabled");
	must(write_file(ZSWAP "shrinker_enabled", "N"), ZSWAP "shrinker_enabled");
	must(write_file("/proc/sys/vm/page-cluster", "0"), "/proc/sys/vm/page-cluster");
}

/* The program begins: the disk has its header, and the root has a past. */
static void swap_begin(void)
{
	zspages_before = read_key("/proc/vmstat", "nr_zspages ");
	flush_statistics();
	root_before = read_account(0);
}
