// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ring: requests from the host through shared memory, served from inside
 * one blocking ioctl of the agent.  What has to be done in user space (cgroup
 * directories, pages of processes) goes back to the agent, which then calls again.
 */
#include <linux/debug_locks.h>
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/swap.h>
#include <linux/uaccess.h>

#include "zsfuzz.h"
#include "zsl.h"

#define RING_ORDER	9
#define RING_BYTES	(PAGE_SIZE << RING_ORDER)
#define COUNTER_BYTES	SZ_16K
#define HIT_BYTES	(COUNTER_BYTES * sizeof(u32))
#define COMPARE_BYTES	SZ_64K
#define PROGRAM_BYTES	SZ_512K
#define IDLE_POLLS	(1u << 17)

#define COUNTERS_AT	SZ_4K
#define HITS_AT		(COUNTERS_AT + COUNTER_BYTES)
#define COMPARES_AT	(HITS_AT + HIT_BYTES)
#define MAX_COMPARES	(COMPARE_BYTES / sizeof(struct zsfuzz_compare))
#define PROGRAMS_AT	(COMPARES_AT + COMPARE_BYTES)
#define RESULTS_AT	(PROGRAMS_AT + PROGRAM_BYTES)

/* How far the current request has come. */
struct ring_run {
	bool			active;
	u32			program;	/* of ring->programs, as it was read */
	u32			programs;
	u32			flags;
	const u8		*in;		/* header of the current program */
	struct zsf_out		out;
	struct zsfuzz_result_header *header;
	u32			op;		/* next one to run */
	u32			ops;
	struct zsf_call		call;		/* what the agent was asked */
	struct zsfuzz_result	*waiting;	/* for the agent's answer */
	bool			traced;		/* KCOV runs, and while the agent swaps too */
	bool			snapped;	/* the agent ends the processes, then all is freed */
};

static struct page *ring_pages;
static struct zsfuzz_ring *ring;
static struct zsf_session *session;
static struct ring_run run;
static u32 seen;				/* last request taken up */
static DEFINE_MUTEX(serve_lock);
static atomic_t ring_open_count = ATOMIC_INIT(0);

static void *ring_at(u32 offset)
{
	return (u8 *)ring + offset;
}

/* ---- one program -------------------------------------------------------- */

static const struct zsfuzz_op *run_ops(void)
{
	return (const void *)(run.in + sizeof(struct zsfuzz_program_header));
}

/* Refuses a program before any of it runs. */
static int program_check(void)
{
	const struct zsfuzz_program_header *head = (const void *)run.in;
	const u8 *end = ring_at(PROGRAMS_AT + PROGRAM_BYTES);
	const struct zsfuzz_op *op = run_ops();
	u32 i;

	if ((const u8 *)op > end)
		return -EMSGSIZE;
	run.ops = READ_ONCE(head->ops);
	if (run.ops > ZSFUZZ_MAX_OPS)
		return -E2BIG;
	if ((const u8 *)(op + run.ops) > end)
		return -EMSGSIZE;
	for (i = 0; i < run.ops; i++)
		if (zsf_op_check(&op[i]))
			return -EINVAL;
	return 0;
}

/*
 * Only allocations that may block let KASAN's quarantine shrink, and zsmalloc's
 * may not: in the long run freed handles would take up all memory.
 */
static void quarantine_reduce(void)
{
	if (IS_ENABLED(CONFIG_KASAN_GENERIC))
		kfree(kmalloc(8, GFP_KERNEL));
}

static int program_begin(void)
{
	int ret = program_check();

	if (ret)
		return ret;
	quarantine_reduce();
	ret = zsf_session_reset(session);
	if (ret)
		return ret;
	run.op = 0;
	run.header = zsf_out(&run.out, sizeof(*run.header));
	return run.header ? 0 : -ENOSPC;
}

/* Returns 1 if the agent has to act first. */
static int program_ops(void)
{
	const struct zsfuzz_op *ops = run_ops();

	while (run.op < run.ops) {
		struct zsfuzz_op op = READ_ONCE(ops[run.op]);
		struct zsfuzz_result *res = zsf_out(&run.out, sizeof(*res));

		if (!res)
			return -ENOSPC;
		if (zsf_op_check(&op))		/* the host changed it meanwhile */
			return -EINVAL;
		run.op++;
		WRITE_ONCE(ring->heartbeat, ring->heartbeat + 1);
		zsf_op_run(session, &op, res, &run.call);
		if (run.call.action) {
			zsf_op_ask(session, &run.call);
			run.waiting = res;
			return 1;
		}
	}
	return 0;
}

/* Returns 1 if the agent has to end processes first. */
static int program_end(void)
{
	if (!run.snapped) {
		zsf_snapshot(session, &run.out);
		run.snapped = true;
		if (session->swap.undrained) {
			run.call = (struct zsf_call) { .action = ZSFUZZ_AGENT_DRAIN };
			return 1;
		}
	}
	run.snapped = false;
	zsf_snapshot_end(session, &run.out);
	if (run.out.full)
		return -ENOSPC;
	run.header->ops = run.ops;
	run.header->bytes = run.out.pos - (u8 *)(run.header + 1);
	run.in = (const u8 *)(run_ops() + run.ops);
	ring->done = ++run.program;
	return 0;
}

/* ---- one request -------------------------------------------------------- */

static void run_begin(void)
{
	run = (struct ring_run) {
		.active	  = true,
		.programs = READ_ONCE(ring->programs),
		.flags	  = READ_ONCE(ring->flags),
		.in	  = ring_at(PROGRAMS_AT),
		.out	  = {
			.pos = ring_at(RESULTS_AT),
			.end = ring_at(RING_BYTES),
		},
	};
	ring->done = 0;
	ring->compares = 0;
	ring->orphans = 0;
}

/* Asks the agent for a fresh tree when a program changed it. */
static bool tree_needs_rebuild(void)
{
	if (!session->tree_changed)
		return false;
	run.call = (struct zsf_call) { .action = ZSFUZZ_AGENT_AUDIT };
	return true;
}

/* After a program that was broken off, its processes are there still. */
static bool swap_needs_drain(void)
{
	if (!session->swap.undrained)
		return false;
	run.call = (struct zsf_call) { .action = ZSFUZZ_AGENT_DRAIN };
	return true;
}

/* The operations alone are traced, not what sets up before and clears up after. */
static int program_ops_traced(void)
{
	int ret;

	if (!run.traced)
		zsf_cover_start(run.flags);
	ret = program_ops();
	run.traced = ret == 1 && run.call.action >= ZSFUZZ_AGENT_PAGE_WRITE;
	if (run.traced)
		return ret;
	if (run.flags & ZSFUZZ_RUN_COMPARES)
		ring->compares += zsf_cover_compares((struct zsfuzz_compare *)
						     ring_at(COMPARES_AT) + ring->compares,
						     MAX_COMPARES - ring->compares);
	else if (run.flags & ZSFUZZ_RUN_COVER)
		zsf_cover_fold(ring_at(COUNTERS_AT), ring_at(HITS_AT));
	return ret;
}

/* Returns 1 if the agent has to act, otherwise the request is answered. */
static int run_programs(void)
{
	bool resumed = run.waiting || run.snapped;
	int ret = 0;

	run.waiting = NULL;
	while (run.program < run.programs) {
		if (!resumed && (swap_needs_drain() || tree_needs_rebuild()))
			return 1;
		if (!resumed)
			ret = program_begin();
		resumed = false;
		if (!ret && !run.snapped)
			ret = program_ops_traced();
		if (!ret)
			ret = program_end();
		if (ret)
			return ret;
		cond_resched();
	}
	return tree_needs_rebuild();
}

static u32 complaints(void)
{
	u32 found = test_taint(TAINT_WARN) | test_taint(TAINT_DIE) << 1 |
		    test_taint(TAINT_BAD_PAGE) << 2;

#ifdef CONFIG_LOCKDEP
	found |= !debug_locks << 3;
#endif
	return found;
}

static void answer(int status)
{
	ring->status = status;
	ring->result_bytes = run.out.pos - (u8 *)ring_at(RESULTS_AT);
	if (status) {
		mutex_lock(&zsf_lock);
		zsf_session_drain(session);
		mutex_unlock(&zsf_lock);
	}
	ring->taint = complaints();
	run.active = false;
	/* Pairs with the host's reading of the reply before the results. */
	smp_store_release(&ring->reply, seen);
}

static int run_request(void)
{
	int ret;

	if (run.programs > ZSFUZZ_MAX_PROGRAMS)
		return -E2BIG;
	mutex_lock(&zsf_lock);
	ret = run_programs();
	mutex_unlock(&zsf_lock);
	return ret;
}

/* ---- the agent's side --------------------------------------------------- */

static void ask_agent(struct zsfuzz_agent_request *req, bool thorough)
{
	*req = (struct zsfuzz_agent_request) {
		.action	  = run.call.action,
		.cgroup	  = run.call.cgroup,
		.parent	  = run.call.parent,
		.page	  = run.call.page,
		.arg	  = run.call.arg,
		.thorough = thorough,
	};
}

/* Takes what the agent did since the last call. */
static void agent_answer(const struct zsfuzz_agent_request *req)
{
	if (run.call.action == ZSFUZZ_AGENT_AUDIT) {
		ring->orphans = req->value;
		session->tree_changed = false;
	} else if (run.call.action == ZSFUZZ_AGENT_DRAIN) {
		session->swap.wrong = min_t(u32, req->value, U8_MAX);
		session->swap.undrained = false;
	} else if (run.waiting) {
		mutex_lock(&zsf_lock);
		zsf_op_finish(session, &run.call, req, run.waiting);
		mutex_unlock(&zsf_lock);
	}
	run.call.action = ZSFUZZ_AGENT_NONE;
}

/*
 * Polls for the next request; sleeps once the host has been silent for some
 * milliseconds.  Polls are counted, as the guest's clock may be a coarse one.
 */
static int wait_for_request(void)
{
	u32 polls = 0;

	/* Pairs with the host's writing of the request number after the request. */
	while (smp_load_acquire(&ring->request) == seen) {
		if (signal_pending(current))
			return -EINTR;
		cpu_relax();
		if (++polls % 256)
			continue;
		cond_resched();
		if (polls > IDLE_POLLS)
			schedule_timeout_interruptible(1);
	}
	seen = READ_ONCE(ring->request);
	return 0;
}

/* A use after free on purpose, so that the host can tell whether KASAN works. */
static void trip(void)
{
	char *p = kmalloc(64, GFP_KERNEL);

	kfree(p);
	OPTIMIZER_HIDE_VAR(p);
	if (p)
		READ_ONCE(*p);
}

/* Returns to the agent only when it has something to do. */
static int serve(struct zsfuzz_agent_request *req)
{
	int ret;

	if (run.active && run.call.action)
		agent_answer(req);
	for (;;) {
		if (!run.active) {
			ret = wait_for_request();
			if (ret)
				return ret;
			run_begin();
			switch (READ_ONCE(ring->command)) {
			case ZSFUZZ_CMD_RUN:
				break;
			case ZSFUZZ_CMD_AUDIT:
				run.programs = 0;
				run.call.action = ZSFUZZ_AGENT_AUDIT;
				ask_agent(req, true);
				return 0;
			case ZSFUZZ_CMD_TRIP:
				trip();
				answer(0);
				continue;
			case ZSFUZZ_CMD_EXIT:
				answer(0);
				req->action = ZSFUZZ_AGENT_EXIT;
				return 0;
			default:
				answer(-EINVAL);
				continue;
			}
		}
		ret = run_request();
		if (ret == 1) {
			ask_agent(req, false);
			return 0;
		}
		answer(ret);
	}
}

static void ring_describe_swap(void)
{
	unsigned int i;

	ring->features = zsf_features();
	for (i = 0; i < ZSFUZZ_PATTERNS; i++) {
		ring->zswap_lengths[i] = zsf_swap_length(i, false);
		ring->disk_lengths[i] = zsf_swap_length(i, true);
	}
}

static long ring_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct zsfuzz_agent_request req;
	struct zsfuzz_swap_sample sample;
	struct zsfuzz_cgroup_fd cgroup;
	u32 orphans;
	int ret;

	switch (cmd) {
	case ZSFUZZ_IOC_ORPHANS:
		mutex_lock(&zsf_lock);
		orphans = zsf_cgroups_orphans();
		mutex_unlock(&zsf_lock);
		return put_user(orphans, (u32 __user *)arg);
	case ZSFUZZ_IOC_SERVE:
		if (copy_from_user(&req, (void __user *)arg, sizeof(req)))
			return -EFAULT;
		if (!mutex_trylock(&serve_lock))
			return -EBUSY;
		ret = serve(&req);
		mutex_unlock(&serve_lock);
		if (!ret && copy_to_user((void __user *)arg, &req, sizeof(req)))
			return -EFAULT;
		return ret;
	case ZSFUZZ_IOC_SWAP:
		if (copy_from_user(&sample, (void __user *)arg, sizeof(sample)))
			return -EFAULT;
		mutex_lock(&zsf_lock);
		ret = zsf_swap_sample(&sample);
		if (!ret)
			ring_describe_swap();
		mutex_unlock(&zsf_lock);
		return ret;
	case ZSFUZZ_IOC_CGROUP:
		if (copy_from_user(&cgroup, (void __user *)arg, sizeof(cgroup)))
			return -EFAULT;
		mutex_lock(&zsf_lock);
		ret = zsf_cgroup_register(&cgroup);
		ring->owners = zsl_owners;
		mutex_unlock(&zsf_lock);
		return ret;
	}
	return -ENOTTY;
}

static int ring_open(struct inode *inode, struct file *file)
{
	if (atomic_cmpxchg(&ring_open_count, 0, 1))
		return -EBUSY;
	mutex_lock(&zsf_lock);
	session = zsf_session_create();
	if (session)
		session->has_agent = true;
	mutex_unlock(&zsf_lock);
	if (!session) {
		atomic_set(&ring_open_count, 0);
		return -ENOMEM;
	}
	run = (struct ring_run) { };
	return 0;
}

static int ring_release(struct inode *inode, struct file *file)
{
	mutex_lock(&zsf_lock);
	zsf_session_destroy(session);
	session = NULL;
	mutex_unlock(&zsf_lock);
	atomic_set(&ring_open_count, 0);
	return 0;
}

static const struct file_operations ring_fops = {
	.owner		= THIS_MODULE,
	.open		= ring_open,
	.release	= ring_release,
	.unlocked_ioctl	= ring_ioctl,
};

/* ---- setting up --------------------------------------------------------- */

static void ring_describe(void)
{
	ring->magic = ZSFUZZ_MAGIC;
	ring->version = ZSFUZZ_VERSION;
	ring->design = zsf_design();
	ring->features = zsf_features();
	ring->page_size = PAGE_SIZE;
	ring->chain_size = CONFIG_ZSMALLOC_CHAIN_SIZE;
	ring->min_alloc_size = zsl_min_alloc_size;
	ring->writeback_batch = ZSL_WRITEBACK_BATCH;
	ring->counter_offset = COUNTERS_AT;
	ring->counter_count = zsf_cover_sites();
	ring->hit_offset = HITS_AT;
	ring->compare_offset = COMPARES_AT;
	ring->compare_max = MAX_COMPARES;
	ring->program_offset = PROGRAMS_AT;
	ring->program_size = PROGRAM_BYTES;
	ring->result_offset = RESULTS_AT;
	ring->result_size = RING_BYTES - RESULTS_AT;
}

static int ring_info_show(struct seq_file *m, void *unused)
{
	seq_printf(m, "version %u\ndesign %u\nfeatures %#x\n",
		   ring->version, ring->design, ring->features);
	seq_printf(m, "ring_physical %#llx\nring_bytes %lu\n",
		   (unsigned long long)page_to_phys(ring_pages), RING_BYTES);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(ring_info);

int zsf_ring_init(struct dentry *root)
{
	BUILD_BUG_ON(sizeof(struct zsfuzz_ring) > SZ_4K);
	BUILD_BUG_ON(ZSL_SITES > COUNTER_BYTES);

	ring_pages = alloc_pages(GFP_KERNEL | __GFP_ZERO, RING_ORDER);
	if (!ring_pages)
		return -ENOMEM;
	ring = page_address(ring_pages);
	ring_describe();
	debugfs_create_file("ring", 0600, root, NULL, &ring_fops);
	debugfs_create_file("info", 0400, root, NULL, &ring_info_fops);
	return 0;
}

void zsf_ring_exit(void)
{
	if (ring_pages)
		__free_pages(ring_pages, RING_ORDER);
	ring_pages = NULL;
}
