// SPDX-License-Identifier: GPL-2.0-only
/*
 * @what@
 *
 * Performs one program of zsmalloc operations through the debugfs files of the
 * module zsfuzz.ko, and compares each answer with the one expected.  Needs
 * nothing but libc:
 *
 *	gcc -O2 -static -o reproducer reproducer.c
 *
 * Run it as root in a virtual machine that has the module loaded, and that can be
 * lost; or as the init of one, beside /zsfuzz.ko and with the empty folders /dev,
 * /proc, /sys and /cgroup: it then sets up what it needs, and powers off.
 *
 * Exit code: 0 all as expected, 1 something differs, 2 it could not be tried.
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
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { GOOD = 0, DIFFERS = 1, NOT_TRIED = 2 };

struct field {
	const char *name;
	int offset, size, is_signed;	/* bytes */
};

struct record {
	int kind;			/* first byte of a record in the snapshot */
	const char *name;
	int size;
	int fields;
	struct field field[24];
};

struct step {
	const char *text;
	uint8_t op[8];			/* struct zsfuzz_op */
	uint8_t expected[RESULT_BYTES];	/* struct zsfuzz_result */
};

/* What the files of a cgroup say from step @step on. */
struct account {
	unsigned int step, cgroup;
	long zswap;			/* bytes */
	long zswapped, incompressible;	/* pages */
	long zswpin, zswpout, zswpwb;	/* pages, since the program began */
};

/* @data@ */

#define DEBUGFS		"/sys/kernel/debug"
#define FILES		DEBUGFS "/zsfuzz/"
#define KMEMLEAK	DEBUGFS "/kmemleak"
#define LEAK_AGE	6		/* seconds */
#define CGROUPS		8
#define BASE		"zsfuzz-reproducer"
#define STEPS		(sizeof(program) / sizeof(program[0]))
#define PATIENCE	1000		/* times 10 ms */
#define SHOWN		20		/* differences */
#define FAULTS_MISSED	10		/* times the program is begun anew for the same outcome */
#define MISSED_IN_ALL	30
#define WARM_UP		200		/* times the program is performed before */
#define ROUNDS		50000		/* times it is performed to see what is lost */
#define GROWTH_SECONDS	6
#define GROWTH		64		/* kB that slab may grow by in that time */
#define LEAST_LOSS	4		/* bytes each time */
#define COMPLAINTS	0x2a0		/* tainted: bad page, died, warned */
#define LOCKDEP_OFF	0x10000		/* ours: no bit of tainted */

struct cgroup_fd {			/* struct zsfuzz_cgroup_fd */
	uint32_t number;
	int32_t fd;
};

#define IOC_CGROUP	_IOW('z', 2, struct cgroup_fd)
#define IOC_FINISH	_IO('z', 3)
#define IOC_ORPHANS	_IOR('z', 4, uint32_t)

static const char *cgroup_root;
static char cgroup_path[CGROUPS][256];	/* empty: is not there */
static int exec_fd = -1;
static unsigned int differences;

#if SWAPS
static void leave_cgroup(unsigned int number);
static void left_cgroup(unsigned int number);
#endif

/* ---- ending ---------------------------------------------------------------- */

static void finish(int code)
{
	printf("reproducer: exit %d\n", code);
	fflush(stdout);
	if (getpid() == 1) {
		sync();
		reboot(RB_POWER_OFF);
	}
	_exit(code);
}

static void cannot(const char *what)
{
	printf("reproducer: cannot be tried: %s: %s\n", what, strerror(errno));
	finish(differences ? DIFFERS : NOT_TRIED);
}

/* ---- files ----------------------------------------------------------------- */

static int write_file(const char *path, const char *text)
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

/* The number after @key in a file, or -1. */
static long read_key(const char *path, const char *key)
{
	char line[256], *number;
	size_t n = strlen(key);
	long value = -1;
	FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, n)) {
			number = line + n;
			value = strtol(number, NULL, 0);
		}
	if (f)
		fclose(f);
	return value;
}

/* Lockdep's reports do not taint a kernel: it only goes off. */
static long complaints(void)
{
	long off = read_key("/proc/lockdep_stats", " debug_locks:") == 0;

	return (read_key("/proc/sys/kernel/tainted", "") & COMPLAINTS) | (off ? LOCKDEP_OFF : 0);
}

/* ---- as the first process --------------------------------------------------- */

static void mount_one(const char *type, const char *at)
{
	if (mount(type, at, type, 0, NULL) && errno != EBUSY)
		cannot(at);
}

static void be_init(void)
{
	int fd;

	mount_one("devtmpfs", "/dev");
	fd = open("/dev/console", O_RDWR);
	if (fd >= 0) {
		dup2(fd, 1);
		dup2(fd, 2);
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	mount_one("proc", "/proc");
	mount_one("sysfs", "/sys");
	mount_one("debugfs", DEBUGFS);
	mount_one("cgroup2", "/cgroup");
	fd = open("/zsfuzz.ko", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
		cannot("/zsfuzz.ko");
	close(fd);
}

/* ---- setting up -------------------------------------------------------------- */

/* Lets the fault that fail_next() arms reach zsmalloc's allocations, silently. */
static void allow_faults(void)
{
	write_file(DEBUGFS "/fail_page_alloc/min-order", "0");
	write_file(DEBUGFS "/fail_page_alloc/ignore-gfp-highmem", "N");
	write_file(DEBUGFS "/fail_page_alloc/verbose", "0");
	write_file(DEBUGFS "/failslab/verbose", "0");
}

static void check_kernel(void)
{
	errno = ENOENT;
	if (read_key(FILES "info", "version ") < 0)
		cannot("load zsfuzz.ko and mount debugfs");
	errno = EPROTO;
	if (read_key(FILES "info", "version ") != PROTOCOL)
		cannot("the module speaks another protocol: write the reproducer again");
	if (read_key(FILES "info", "design ") != DESIGN)
		cannot("this kernel is not of design " DESIGN_NAME);
	errno = EBUSY;
	if (complaints())
		cannot("the kernel has complained already: boot it anew");
}

static int register_cgroup(unsigned int number, const char *path)
{
	struct cgroup_fd req = { .number = number, .fd = -1 };
	int ret = 0;

	if (path) {
		req.fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (req.fd < 0)
			return -errno;
	}
	if (ioctl(exec_fd, IOC_CGROUP, &req))
		ret = -errno;
	if (path)
		close(req.fd);
	return ret;
}

static int give_controller(const char *path)
{
	char control[300];

	snprintf(control, sizeof(control), "%s/cgroup.subtree_control", path);
	return write_file(control, "+memory");
}

/* @parent 0: the common parent. */
static int cgroup_create(unsigned int number, unsigned int parent)
{
	char in[256], *path = cgroup_path[number];
	int ret;

	strcpy(in, cgroup_path[parent]);
	ret = give_controller(in);
	if (ret)
		return ret;
	snprintf(path, 256, "%.240s/c%u", in, number);
	ret = mkdir(path, 0755) ? -errno : register_cgroup(number, path);
	if (ret)
		*path = 0;
	return ret;
}

static long dying(const char *in)
{
	char stat[300];

	snprintf(stat, sizeof(stat), "%s/cgroup.stat", in);
	return read_key(stat, "nr_dying_descendants ");
}

static void wait_for_dying(const char *in, long before, int patience)
{
	int i;

	for (i = 0; i < patience && dying(in) > before; i++)
		usleep(10000);
}

/*
 * rmdir() returns before the owners of objects are handed to the parent.  A cgroup
 * whose pages are in swap stays a dying one for as long as they are.
 */
static int cgroup_remove(unsigned int number)
{
#if SWAPS
	leave_cgroup(number);
#endif
	if (rmdir(cgroup_path[number]))
		return -errno;
	cgroup_path[number][0] = 0;
	wait_for_dying(cgroup_path[0], 0, SWAPS ? PATIENCE / 10 : PATIENCE);
#if SWAPS
	left_cgroup(number);
#endif
	return register_cgroup(number, NULL);
}

static void find_cgroup_root(void)
{
	static const char * const roots[] = { "/cgroup", "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	char control[64];
	unsigned int i;

	for (i = 0; i < sizeof(roots) / sizeof(roots[0]) && !cgroup_root; i++) {
		snprintf(control, sizeof(control), "%s/cgroup.subtree_control", roots[i]);
		if (!access(control, W_OK))
			cgroup_root = roots[i];
	}
	if (!cgroup_root)
		cannot("mount cgroup2 at /sys/fs/cgroup");
}

/* The tree that each program finds: c0 is the root, 0 below stands for the common parent. */
static void make_cgroups(void)
{
	static const int parent[CGROUPS] = { -1, 0, 0, 1, 3, 2, 2, -1 };
	unsigned int i;

	if (give_controller(cgroup_root))
		cannot("no memory controller");
	snprintf(cgroup_path[0], sizeof(cgroup_path[0]), "%s/" BASE, cgroup_root);
	if (mkdir(cgroup_path[0], 0755))
		cannot(cgroup_path[0]);
	errno = -register_cgroup(~0u, cgroup_path[0]);
	for (i = 1; !errno && i < CGROUPS; i++)
		if (parent[i] >= 0)
			errno = -cgroup_create(i, parent[i]);
	if (errno)
		cannot("making cgroups");
}

/* ---- comparing --------------------------------------------------------------- */

static long value_of(const struct field *field, const uint8_t *record)
{
	const uint8_t *at = record + field->offset;
	uint32_t value = 0;
	int i;

	for (i = field->size; i--;)
		value = value << 8 | at[i];
	if (field->is_signed && field->size == 2)
		return (int16_t)value;
	return value;
}

static void differs(const char *where, const char *what, long expected, long found)
{
	if (differences++ < SHOWN)
		printf("reproducer: %s: %s: expected %ld (%#lx), the kernel says %ld (%#lx)\n",
		       where, what, expected, expected, found, found);
}

static void compare_record(const char *where, const struct record *record,
			   const uint8_t *expected, const uint8_t *found)
{
	const struct field *field;
	long ours, theirs;

	for (field = record->field; field < record->field + record->fields; field++) {
		ours = value_of(field, expected);
		theirs = value_of(field, found);
		if (ours != theirs)
			differs(where, field->name, ours, theirs);
	}
}

static const struct record *record_of(const uint8_t *at, const uint8_t *end)
{
	unsigned int i;

	for (i = 0; i < sizeof(records) / sizeof(records[0]); i++)
		if (at < end && *at == records[i].kind && end - at >= records[i].size)
			return &records[i];
	return NULL;
}

static long member(const struct record *record, const char *name, const uint8_t *at)
{
	int i;

	for (i = 0; i < record->fields; i++)
		if (!strcmp(record->field[i].name, name))
			return value_of(&record->field[i], at);
	return 0;
}

/* "p0 class 28 zspage 1": pool, class and what of it a record is about. */
static void name_record(char *name, size_t size, const struct record *record,
			const uint8_t *at, long *pool, long *class)
{
	if (!strcmp(record->name, "pool"))
		*pool = member(record, "pool", at);
	if (!strcmp(record->name, "class") || !strcmp(record->name, "row"))
		*class = member(record, "class", at);
	if (!strcmp(record->name, "pool"))
		snprintf(name, size, "p%ld", *pool);
	else if (!strcmp(record->name, "class") || !strcmp(record->name, "row"))
		snprintf(name, size, "p%ld %s %ld", *pool, record->name, *class);
	else if (!strcmp(record->name, "zspage"))
		snprintf(name, size, "p%ld class %ld z%ld", *pool, *class,
			 member(record, "zspage", at));
	else
		snprintf(name, size, "%s %ld", record->name, member(record, record->name, at));
}

/* The free list, the states of the pages and the owners behind the record of a zspage. */
static void compare_bytes(const char *where, const char *what, long n,
			  const uint8_t *expected, const uint8_t *found)
{
	char name[32];
	long i;

	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%s[%ld]", what, i);
		if (expected[i] != found[i])
			differs(where, name, expected[i], found[i]);
	}
}

static void compare_tail(const char *where, const struct record *record,
			 const uint8_t *expected, const uint8_t *found)
{
	const uint8_t *ours = expected + record->size, *theirs = found + record->size;
	long freed = member(record, "free_bytes", expected);
	long pages = member(record, "pages", expected);
	long owners = member(record, "owner_bytes", expected);

	compare_bytes(where, "free list", freed, ours, theirs);
	compare_bytes(where, "memcg_data of page", pages, ours + freed, theirs + freed);
	compare_bytes(where, "owners", owners, ours + freed + pages, theirs + freed + pages);
}

static long size_of(const struct record *record, const uint8_t *at)
{
	if (strcmp(record->name, "zspage"))
		return record->size;
	return record->size + ((member(record, "free_bytes", at) + member(record, "pages", at) +
				member(record, "owner_bytes", at) + 3) & ~3L);
}

/* Stops at the first record that cannot be matched with the other side's. */
static void compare_snapshot(const uint8_t *found, long bytes)
{
	const uint8_t *ours = snapshot, *theirs = found;
	const uint8_t *ours_end = ours + sizeof(snapshot), *theirs_end = theirs + bytes;
	const struct record *record, *other;
	long pool = -1, class = -1, size;
	char where[96];

	while ((record = record_of(ours, ours_end))) {
		name_record(where, sizeof(where), record, ours, &pool, &class);
		other = record_of(theirs, theirs_end);
		if (other != record) {
			differs(where, "kind of record", *ours, other ? *theirs : -1);
			return;
		}
		compare_record(where, record, ours, theirs);
		size = size_of(record, ours);
		if (size != size_of(record, theirs) || size > theirs_end - theirs)
			return;
		if (!strcmp(record->name, "zspage"))
			compare_tail(where, record, ours, theirs);
		ours += size;
		theirs += size;
	}
}

/* @swap@ */
/* ---- performing --------------------------------------------------------------- */

static int is_cgroup_step(const struct step *step)
{
	return step->op[0] == OP_CGROUP_CREATE || step->op[0] == OP_CGROUP_REMOVE;
}

/* The module leaves directories to its users, once it has found nothing wrong. */
static void act_on_cgroup(const struct step *step, uint8_t *answer)
{
	int16_t ret;
	unsigned int number = step->op[3], parent = step->op[6];

	memcpy(&ret, answer, sizeof(ret));
	if (ret != -EOPNOTSUPP)
		return;
	if (step->op[0] == OP_CGROUP_CREATE)
		ret = cgroup_create(number, parent == number ? 0 : parent);
	else
		ret = cgroup_remove(number);
	memcpy(answer, &ret, sizeof(ret));
}

/* Slab may need memory of its own, which nobody can foresee: see docs/PROGRAM.md. */
static int hit_slab(unsigned int i, const uint8_t *answer)
{
	long left = member(&result, "faults", answer), ret = member(&result, "ret", answer);
	const uint8_t *expected = program[i].expected;

	if (!i || program[i - 1].op[0] != OP_FAIL_NEXT || program[i].op[0] != OP_MALLOC)
		return 0;
	if (ret == member(&result, "ret", expected) && left == member(&result, "faults", expected))
		return 0;
	return (ret == -ENOMEM && left == 0) || (ret == 0 && left < program[i - 1].op[6]);
}

static int has_kmemleak(void)
{
	return !access(KMEMLEAK, F_OK);
}

/* Counts how often in a row slab seems to have been hit at the same step, with the same outcome. */
static int hits_alike(unsigned int i, const uint8_t *answer)
{
	static long step = -1, ret, left;
	static int hits;

	if (step != i || ret != member(&result, "ret", answer) ||
	    left != member(&result, "faults", answer))
		hits = 0;
	step = i;
	ret = member(&result, "ret", answer);
	left = member(&result, "faults", answer);
	return ++hits;
}

/*
 * Returns 1 if the fault that this step was to get went elsewhere.  Slab's needs
 * vary: what comes out alike that many times is what the kernel does.
 */
static int perform(unsigned int i)
{
	const struct step *step = &program[i];
	uint8_t answer[RESULT_BYTES];
	char where[256];

	if (write(exec_fd, step->op, sizeof(step->op)) != sizeof(step->op) ||
	    read(exec_fd, answer, sizeof(answer)) != sizeof(answer))
		cannot(step->text);
	if (is_cgroup_step(step))
		act_on_cgroup(step, answer);
#if SWAPS
	if (step->op[0] >= OP_PAGE_WRITE)
		act_on_pages(step, answer);
#endif
	if (hit_slab(i, answer) && (has_kmemleak() || hits_alike(i, answer) <= FAULTS_MISSED))
		return 1;
	snprintf(where, sizeof(where), "step %u, %s", i + 1, step->text);
	compare_record(where, &result, step->expected, answer);
#if SWAPS
	if (step->op[0] != OP_FAIL_NEXT)
		check_accounts(where, i + 1);
#endif
	return 0;
}

/* Takes the snapshot, and frees everything; returns its length in bytes. */
static long end_program(uint8_t *found, size_t size)
{
	long n, all = 0;

	if (ioctl(exec_fd, IOC_FINISH))
		cannot("the snapshot");
	while ((n = read(exec_fd, found + all, size - all)) > 0)
		all += n;
	return all;
}

/* Performs the whole program, and compares nothing. */
static void rehearse(void)
{
	static uint8_t answers[(sizeof(program) / sizeof(program[0])) * RESULT_BYTES];
	static uint8_t ops[sizeof(program) / sizeof(program[0])][8], found[1 << 20];
	unsigned int i;

	for (i = 0; i < STEPS; i++)
		memcpy(ops[i], program[i].op, sizeof(ops[i]));
	if (write(exec_fd, ops, sizeof(ops)) != sizeof(ops) ||
	    read(exec_fd, answers, sizeof(answers)) != sizeof(answers))
		cannot("the program as a whole");
	end_program(found, sizeof(found));
}

/*
 * Once slab has met a need of its own, it is not so likely to have another; but a
 * kernel with kmemleak allocates in each allocation.  What is lost can be seen there
 * without comparing answers.
 */
static void perform_all(void)
{
	static uint8_t found[1 << 20];
	unsigned int i, hits = 0;

	for (i = 0; i < STEPS; i++)
		if (perform(i)) {
			errno = ENOMEM;
			if (!REPEATABLE || (++hits > MISSED_IN_ALL && !has_kmemleak()))
				cannot("the fault hit the kernel's slab allocator itself, boot anew and try again");
			differences = 0;	/* those of the steps before come again */
			end_program(found, sizeof(found));
			rehearse();
			if (hits > FAULTS_MISSED && has_kmemleak()) {
				printf("reproducer: faults hit the kernel's slab allocator itself: answers are not compared\n");
				return;
			}
			i = -1;
		}
#if SWAPS
	drain();
#endif
	compare_snapshot(found, end_program(found, sizeof(found)));
}

static uint32_t count_orphans(void)
{
	int ring = open(FILES "ring", O_RDWR | O_CLOEXEC);
	uint32_t owners = 0;

	if (ring < 0 || ioctl(ring, IOC_ORPHANS, &owners))
		printf("reproducer: owners without a cgroup are not counted: %s\n", strerror(errno));
	if (ring >= 0)
		close(ring);
	return owners;
}

/* Removes all cgroups; owners that stay behind are referenced for ever. */
static void check_orphans(uint32_t before, long dead)
{
	uint32_t owners;
	int i, left;

	for (left = CGROUPS; left--;)	/* children go before parents */
		for (i = CGROUPS - 1; i > 0; i--)
			if (*cgroup_path[i] && !rmdir(cgroup_path[i]))
				*cgroup_path[i] = 0;
	if (rmdir(cgroup_path[0]))
		cannot("removing the cgroups");
	wait_for_dying(cgroup_root, dead, PATIENCE);
	register_cgroup(~0u, NULL);
	for (i = 0; (owners = count_orphans()) > before && i < PATIENCE / 20; i++)
		usleep(10000);
	if (owners > before)
		differs("after all cgroups were removed", "owners that outlive them",
			before, owners);
}

static int has_kasan(void)
{
	char line[256];
	int found = 0;
	FILE *f = fopen("/proc/kallsyms", "re");

	while (f && !found && fgets(line, sizeof(line), f))
		found = !!strstr(line, " kasan_report");
	if (f)
		fclose(f);
	return found;
}

/*
 * What a program loses is little: it is performed again and again, and slab must
 * not grow by it.  KASAN keeps what is freed, so that nothing can be told there.
 */
static void check_growth(void)
{
	long rounds = 0, before, after;
	time_t end = time(NULL) + GROWTH_SECONDS;
	char where[64];

	if (!REPEATABLE || has_kasan())
		return;
	for (; rounds < WARM_UP; rounds++)
		rehearse();
	before = read_key("/proc/meminfo", "SUnreclaim:");
	for (rounds = 0; rounds < ROUNDS && time(NULL) < end; rounds++)
		rehearse();
	after = read_key("/proc/meminfo", "SUnreclaim:");
	snprintf(where, sizeof(where), "after %ld more times", rounds);
	if (before >= 0 && after - before > GROWTH + rounds * LEAST_LOSS / 1024)
		differs(where, "slab that cannot be reclaimed, kB", before, after);
}

/*
 * Kernels with kmemleak report what was lost LEAK_AGE seconds ago or earlier,
 * and does not change between two scans.
 */
static void check_leaks(void)
{
	char report[4096];
	ssize_t n;
	int fd = open(KMEMLEAK, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;		/* not in this kernel */
	sleep(LEAK_AGE);
	write_file(KMEMLEAK, "scan");
	write_file(KMEMLEAK, "scan");
	n = read(fd, report, sizeof(report));
	if (n > 0) {
		differs("kmemleak", "memory that nobody can free, bytes of report", 0, n);
		printf("%.*s\n", (int)n, report);
	}
	close(fd);
}

int main(void)
{
	uint32_t orphans;
	long dead;

	if (getpid() == 1)
		be_init();
	check_kernel();
	allow_faults();
	orphans = count_orphans();
	find_cgroup_root();
#if SWAPS
	swap_start();
#endif
	exec_fd = open(FILES "exec", O_RDWR | O_CLOEXEC);
	if (exec_fd < 0)
		cannot(FILES "exec");
	dead = dying(cgroup_root);
	make_cgroups();
#if SWAPS
	swap_begin();
#endif
	perform_all();
	if (!differences)
		check_growth();
	check_orphans(orphans, dead);
	check_leaks();
	if (complaints())
		differs("the kernel", "complaints (see its log)", 0, complaints());
	printf("reproducer: %zu steps, %u differences\n", STEPS, differences);
	finish(differences ? DIFFERS : GOOD);
}
