/* SPDX-License-Identifier: MIT */
/*
 * thread.c - walking stacks, our own and by SIGPROF those of others.
 *
 * A walk reads nothing but the stack between the interrupted function's stack pointer and the frame that the thread's
 * outermost function noted: that memory exists whatever the registers hold. A frame is believed when its return address
 * lies behind a call instruction in our text and the next frame lies above it.
 *
 * SQLite, musl and the like are built without frame pointers: they may use that register for anything. There, the stack
 * is searched upwards for a frame of ours, F, that fits together: its return address stands behind a direct call of the
 * function T, and below it on the stack there is a return address into T. That is what F's call left behind.
 */
#include "lib/os/thread.h"

#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "lib/os/point.h"

enum {
	SEARCH_WORDS = 2048,       /* how far above it a library's frames are searched */
	CANDIDATES = 32,           /* return addresses that are remembered in that */
	FUNCTION_BYTES_MAX = 8192, /* no function of ours is longer */
	ASK_MS = 20,               /* for a thread to answer */
};

/* The sanitizers would have a say in reading other functions' frames. */
#define RAW __attribute__((no_sanitize("address", "thread", "undefined")))

/* Of the thread's outermost function: where its frame lies, and an address near its beginning. */
static _Thread_local struct outermost {
	uintptr_t frame, pc;
} outermost;
static struct os_text text; /* set once, before it is used */

static int find_text(struct dl_phdr_info *info, size_t size, void *ctx)
{
	(void)size;
	(void)ctx;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];

		if (h->p_type == PT_LOAD && (h->p_flags & PF_X)) {
			text.from = info->dlpi_addr + h->p_vaddr;
			text.to = text.from + h->p_memsz;
			text.bias = info->dlpi_addr;
			text.file_offset = h->p_offset;
		}
	}
	return 1; /* the program itself comes first */
}

static void find_text_once(void)
{
	dl_iterate_phdr(find_text, NULL);
}

static void prepare(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, find_text_once);
}

struct os_text os_text(void)
{
	prepare();
	return text;
}

__attribute__((noinline)) void os_thread_note(const char *name, void *frame)
{
	prepare();
	outermost.pc = (uintptr_t)__builtin_return_address(0);
	outermost.frame = (uintptr_t)frame;
	if (name)
		prctl(PR_SET_NAME, name);
}

/* ---- walking ---- */

struct registers {
	uintptr_t pc, sp, fp;
};

#if defined(__x86_64__)
static void from_context(const ucontext_t *u, struct registers *r)
{
	r->pc = (uintptr_t)u->uc_mcontext.gregs[REG_RIP];
	r->sp = (uintptr_t)u->uc_mcontext.gregs[REG_RSP];
	r->fp = (uintptr_t)u->uc_mcontext.gregs[REG_RBP];
}

/* Is there a call in front of this address? *target: of a direct one, else 0. */
RAW static bool behind_call(uintptr_t pc, uintptr_t *target)
{
	static const int lengths[] = { 2, 3, 4, 6, 7 }; /* of FF /2, with its operands */
	const uint8_t *code = (const uint8_t *)pc;
	int32_t distance;

	if (pc < text.from + 8 || pc >= text.to)
		return false;
	*target = 0;
	if (code[-5] == 0xe8) {
		memcpy(&distance, code - 4, 4);
		*target = pc + (uintptr_t)(intptr_t)distance;
		if (*target >= text.from && *target < text.to)
			return true;
		*target = 0;
	}
	for (int i = 0; i < 5; i++)
		if (code[-lengths[i]] == 0xff && (code[-lengths[i] + 1] & 0x38) == 0x10)
			return true;
	return false;
}
#elif defined(__aarch64__)
static void from_context(const ucontext_t *u, struct registers *r)
{
	r->pc = (uintptr_t)u->uc_mcontext.pc;
	r->sp = (uintptr_t)u->uc_mcontext.sp;
	r->fp = (uintptr_t)u->uc_mcontext.regs[29];
}

RAW static bool behind_call(uintptr_t pc, uintptr_t *target)
{
	uint32_t op;

	if (pc < text.from + 8 || pc >= text.to || pc % 4)
		return false;
	memcpy(&op, (const void *)(pc - 4), 4);
	*target = (op & 0xfc000000) == 0x94000000 ? pc - 4 + (uintptr_t)((intptr_t)(int32_t)(op << 6) >> 4) : 0;
	return *target || (op & 0xfffffc1f) == 0xd63f0000;
}
#else
static void from_context(const ucontext_t *u, struct registers *r)
{
	(void)u;
	*r = (struct registers){ 0 };
}

static bool behind_call(uintptr_t pc, uintptr_t *target)
{
	*target = 0;
	(void)pc;
	return false;
}
#endif

struct frame {
	uintptr_t at, next, back, target;
};

/* Is there a frame at this address? */
RAW static bool read_frame(uintptr_t at, uintptr_t low, uintptr_t top, struct frame *f)
{
	const uintptr_t *word = (const uintptr_t *)at;

	if (at % sizeof(uintptr_t) || at < low || at >= top || top - at < 2 * sizeof(uintptr_t))
		return false;
	f->at = at;
	f->next = word[0];
	f->back = word[1];
	return behind_call(f->back, &f->target);
}

static bool inside(uintptr_t pc, uintptr_t function)
{
	return function && pc >= function && pc - function < FUNCTION_BYTES_MAX;
}

/* The lowest return address into the function, on the stack from..to; 0 if none. */
RAW static uintptr_t return_into(uintptr_t function, uintptr_t from, uintptr_t to)
{
	uintptr_t unused;

	for (uintptr_t at = (from + 7) & ~(uintptr_t)7; function && at < to; at += sizeof(uintptr_t)) {
		uintptr_t word = *(const uintptr_t *)at;

		if (inside(word, function) && behind_call(word, &unused))
			return word;
	}
	return 0;
}

/* The next frame of ours above a library's: see the top of this file. */
RAW static bool search_frame(const struct registers *r, const struct outermost *o, struct frame *f, uintptr_t *inner)
{
	uintptr_t seen[CANDIDATES], at = (r->sp + 7) & ~(uintptr_t)7, unused;
	int count = 0;

	for (int n = 0; at < o->frame && n < SEARCH_WORDS; at += sizeof(uintptr_t), n++) {
		uintptr_t word = *(const uintptr_t *)at;

		if (count && word > at && word <= o->frame && read_frame(at, r->sp, o->frame, f)) {
			for (int i = 0; i < count && i < CANDIDATES; i++) {
				*inner = seen[i];
				if (inside(*inner, f->target))
					return true;
			}
		}
		if (behind_call(word, &unused))
			seen[count++ % CANDIDATES] = word;
	}
	/* Nothing but the outermost function itself may have called the library. */
	*f = (struct frame){ .at = o->frame };
	*inner = at >= o->frame ? return_into(o->pc, r->sp, o->frame) : 0;
	return *inner != 0;
}

/* The frame at `at`, if it fits; the outermost one is believed without a look. */
RAW static bool frame_at(uintptr_t at, uintptr_t low, const struct outermost *o, struct frame *f)
{
	if (at == o->frame) {
		*f = (struct frame){ .at = at, .target = o->pc };
		return true;
	}
	return read_frame(at, low, o->frame, f) && f->next > at;
}

/* What called the outermost function is the C library's business and left out. */
RAW static void walk(const struct registers *r, const struct outermost *o, struct os_stack *s)
{
	uintptr_t low = r->sp, inner = 0;
	struct frame f;

	s->depth = 0;
	s->pc[s->depth++] = r->pc;
	if (low >= o->frame || (!frame_at(r->fp, low, o, &f) && !search_frame(r, o, &f, &inner)))
		return;
	for (;;) {
		/* The frame's function is not the one that we come from: what lies between has no frame. */
		if (!inner && f.target && !inside(s->pc[s->depth - 1], f.target))
			inner = return_into(f.target, low, f.at);
		if (inner && s->depth < OS_STACK_MAX)
			s->pc[s->depth++] = inner;
		if (f.at == o->frame || s->depth == OS_STACK_MAX)
			return;
		s->pc[s->depth++] = f.back;
		low = f.at + 2 * sizeof(uintptr_t);
		inner = 0;
		if (s->depth == OS_STACK_MAX)
			return;
		if (!frame_at(f.next, low, o, &f) && !search_frame(&(struct registers){ .sp = low }, o, &f, &inner))
			return;
	}
}

RAW void os_stack_above(const void *frame, struct os_stack *s)
{
	const uintptr_t *f = frame;
	struct registers r = { .pc = f[1], .sp = (uintptr_t)(f + 2), .fp = f[0] };

	prepare();
	walk(&r, &outermost, s);
}

/* ---- who starts threads ---- */

static pthread_mutex_t sites_lock = PTHREAD_MUTEX_INITIALIZER;
static struct os_thread_site sites[OS_THREAD_SITES_MAX];
static int site_count;

__attribute__((noinline)) void os_thread_creating(void)
{
	struct os_stack s;
	int i = 0;

	os_stack_above(__builtin_frame_address(0), &s);
	pthread_mutex_lock(&sites_lock);
	while (i < site_count && (sites[i].stack.depth != s.depth ||
	                          memcmp(sites[i].stack.pc, s.pc, (size_t)s.depth * sizeof(s.pc[0]))))
		i++;
	if (i == site_count && site_count < OS_THREAD_SITES_MAX)
		sites[site_count++].stack = s;
	if (i < site_count)
		sites[i].started++;
	pthread_mutex_unlock(&sites_lock);
}

int os_thread_sites(struct os_thread_site out[OS_THREAD_SITES_MAX])
{
	int n;

	pthread_mutex_lock(&sites_lock);
	n = site_count;
	memcpy(out, sites, sizeof(sites));
	pthread_mutex_unlock(&sites_lock);
	return n;
}

/* ---- signals ---- */

static void (*_Atomic sampler)(const struct os_stack *s);

/* One thread is asked at a time. The answer is static: a thread that comes too late may still look at it. */
enum { ASK_NOT, ASK_ASKED, ASK_ANSWERING, ASK_ANSWERED };
static struct {
	_Atomic int step, tid;
	struct os_stack stack;
} ask;

static int thread_id(void)
{
	return (int)syscall(SYS_gettid);
}

static void answer(const struct registers *r)
{
	int asked = ASK_ASKED;

	if (atomic_load(&ask.tid) != thread_id() || !atomic_compare_exchange_strong(&ask.step, &asked, ASK_ANSWERING))
		return;
	walk(r, &outermost, &ask.stack);
	atomic_store(&ask.step, ASK_ANSWERED);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
	void (*fn)(const struct os_stack *s) = atomic_load(&sampler);
	int saved = errno;
	struct registers r;
	struct os_stack s;

	(void)number;
	from_context(context, &r);
	if (info->si_code == SI_TKILL) {
		answer(&r);
	} else if (info->si_code != SI_USER && fn) {
		walk(&r, &outermost, &s);
		fn(&s);
	}
	errno = saved;
}

/* For good: a signal that is still on its way when sampling has ended would end the process otherwise. */
static int take_signal(struct err *e)
{
	struct sigaction act;

	prepare();
	memset(&act, 0, sizeof(act));
	act.sa_sigaction = on_signal;
	act.sa_flags = SA_RESTART | SA_SIGINFO;
	sigfillset(&act.sa_mask);
	if (os_point(OS_CALL_OTHER) < 0 || sigaction(SIGPROF, &act, NULL) < 0)
		return err_sys(e, errno, "take SIGPROF");
	return 0;
}

static int set_interval(int64_t us)
{
	struct itimerval t = { { us / 1000000, us % 1000000 }, { us / 1000000, us % 1000000 } };

	return setitimer(ITIMER_PROF, &t, NULL);
}

int os_sample_start(int hz, void (*sample)(const struct os_stack *s), struct err *e)
{
	void (*none)(const struct os_stack *s) = NULL;

	if (!atomic_compare_exchange_strong(&sampler, &none, sample))
		return err_set(e, ERR_BUSY, "cpu profiling already in use");
	if (take_signal(e))
		goto fail;
	if (set_interval(1000000 / hz) == 0)
		return 0;
	err_sys(e, errno, "start profiling timer");
fail:
	atomic_store(&sampler, NULL);
	return -1;
}

void os_sample_stop(void)
{
	set_interval(0);
	atomic_store(&sampler, NULL);
}

/* ---- what each thread does ---- */

static void ask_thread(struct os_thread_state *t)
{
	static const struct timespec moment = { 0, 50000 };
	int asked = ASK_ASKED;

	atomic_store(&ask.tid, t->tid);
	atomic_store(&ask.step, ASK_ASKED);
	if (syscall(SYS_tgkill, getpid(), t->tid, SIGPROF) == 0) {
		for (int i = 0; i < ASK_MS * 20 && atomic_load(&ask.step) != ASK_ANSWERED; i++)
			nanosleep(&moment, NULL);
	}
	/* Given up, unless it is just writing. */
	if (!atomic_compare_exchange_strong(&ask.step, &asked, ASK_NOT)) {
		while (atomic_load(&ask.step) != ASK_ANSWERED)
			nanosleep(&moment, NULL);
		t->stack = ask.stack;
	}
	atomic_store(&ask.step, ASK_NOT);
}

/* "TID (NAME) STATE …"; the name may hold brackets. */
static bool read_state(struct os_thread_state *t)
{
	char path[64], line[256], *open_at, *close_at;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", t->tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, line, sizeof(line) - 1);
	close(fd);
	line[n > 0 ? n : 0] = '\0';
	open_at = strchr(line, '(');
	close_at = strrchr(line, ')');
	if (!open_at || !close_at || close_at[1] != ' ')
		return false;
	*close_at = '\0';
	snprintf(t->name, sizeof(t->name), "%.15s", open_at + 1);
	t->state = close_at[2];
	return true;
}

static int ask_all(DIR *folder, struct os_thread_state *out, int max)
{
	struct dirent *entry;
	int n = 0;

	while (n < max && (entry = readdir(folder))) {
		struct os_thread_state *t = &out[n];

		*t = (struct os_thread_state){ .tid = atoi(entry->d_name) };
		if (t->tid <= 0 || !read_state(t))
			continue;
		if (t->tid == thread_id())
			t->state = 'R';
		ask_thread(t);
		n++;
	}
	return n;
}

int os_thread_states(struct os_thread_state *out, int max)
{
	DIR *folder;
	int n;

	if (max < 1 || take_signal(NULL))
		return 0;
	folder = opendir("/proc/self/task");
	if (folder) {
		n = ask_all(folder, out, max);
		closedir(folder);
		return n;
	}
	out[0] = (struct os_thread_state){ .tid = thread_id(), .state = 'R' };
	os_stack_above(__builtin_frame_address(0), &out[0].stack);
	return 1;
}
