// The client of the forging tests. Compiled twice: as the program that is trusted,
// and with -DEVIL as one that is not and tries to pass for it.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef EVIL
static volatile char text[] = "EVIL EVIL EVIL E";
#else
static volatile char text[] = "GENUINE MESSAGE.";
#endif

static void die(const char *what) { perror(what); _exit(9); }

static void *wait_forever(void *unused) { for (;;) pause(); return 0; }

static int dial(const char *path) {
	pthread_t second;
	if (getenv("THREADS") && pthread_create(&second, 0, wait_forever, 0)) die("pthread_create");
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	strncpy(a.sun_path, path, sizeof a.sun_path - 1);
	int s = socket(AF_UNIX, SOCK_STREAM, 0);
	if (s < 0 || connect(s, (struct sockaddr *)&a, sizeof a)) die("connect");
	return s;
}

static void all(int s, void *b, int n, ssize_t (*io)(int, void *, size_t)) {
	for (char *p = b; n > 0;) {
		ssize_t r = io(s, p, n);
		if (r <= 0) _exit(0); // the server has hung up
		p += r, n -= r;
	}
}

static void out(int s, const void *b, int n) { all(s, (void *)b, n, (ssize_t(*)(int, void *, size_t))write); }
static void in(int s, void *b, int n) { all(s, b, n, read); }

// answer is what every honest client does: it echoes the challenge.
static void answer(int s) {
	char nonce[16];
	in(s, nonce, 16);
	out(s, nonce, 16);
}

// nap is as long as the test says, in microseconds.
static void nap(void) {
	char *t = getenv("NAP");
	if (t) usleep(atoi(t));
}

static void say(int s) { out(s, (void *)text, 16); }

static void speak(int s) { answer(s); say(s); }

static void heard(int s) { char c; in(s, &c, 1); } // the server has delivered

static void stay(int s) { char c; while (read(s, &c, 1) > 0); _exit(0); } // with the server

static char **with(char *a, char *b, char *c, char *d) {
	static char *v[5];
	v[0] = a, v[1] = b, v[2] = c, v[3] = d, v[4] = 0;
	return v;
}

static char *number(int n) { static char b[2][12]; static int k; k = !k; sprintf(b[k], "%d", n); return b[k]; }

// become makes the exe link show another program: everything of this one is unmapped
// but a page of code. As another process's helper with the same memory it needs no
// privilege but that in a user namespace of its own.
#if defined(EVIL) && defined(__x86_64__)
#include <linux/prctl.h>
static char helper_stack[65536] __attribute__((aligned(16)));
static const char *forged;
static int own_namespace;
static struct prctl_mm_map map;

static long sys5(long n, long a, long b, long c, long d, long e) {
	long r;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	__asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
	return r;
}

static void fill_map(void) {
	char line[512];
	FILE *f = fopen("/proc/self/stat", "r");
	if (!f || !fgets(line, sizeof line, f)) die("stat");
	fclose(f);
	unsigned long v[53] = {0};
	char *p = strrchr(line, ')') + 2;
	for (int i = 3; i <= 52 && p; i++) {
		v[i] = strtoul(p, 0, 10);
		p = strchr(p, ' ');
		if (p) p++;
	}
	map.start_code = v[26], map.end_code = v[27], map.start_stack = v[28];
	map.start_data = v[45], map.end_data = v[46], map.start_brk = v[47], map.brk = (unsigned long)sbrk(0);
	map.arg_start = v[48], map.arg_end = v[49], map.env_start = v[50], map.env_end = v[51];
	map.auxv = 0, map.auxv_size = 0;
	map.exe_fd = open(forged, O_RDONLY);
	if ((int)map.exe_fd < 0) die("open forged");
}

// relocate moves the mappings of the own file to anonymous memory, in place.
static void relocate(void) {
	char exe[512] = {0}, line[1024];
	if (readlink("/proc/self/exe", exe, sizeof exe - 1) < 0) die("readlink");
	struct { unsigned long a, b; int prot; } r[16];
	int n = 0;
	FILE *f = fopen("/proc/self/maps", "r");
	while (f && fgets(line, sizeof line, f)) {
		char perm[5];
		unsigned long a, b;
		if (!strstr(line, exe) || sscanf(line, "%lx-%lx %4s", &a, &b, perm) != 3 || n == 16) continue;
		r[n].a = a, r[n].b = b;
		r[n++].prot = (perm[0] == 'r' ? PROT_READ : 0) | (perm[1] == 'w' ? PROT_WRITE : 0) | (perm[2] == 'x' ? PROT_EXEC : 0);
	}
	if (f) fclose(f);
	for (int i = 0; i < n; i++) {
		unsigned long size = r[i].b - r[i].a;
		void *c = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (c == MAP_FAILED) die("mmap");
		memcpy(c, (void *)r[i].a, size);
		mprotect(c, size, r[i].prot | PROT_READ);
		// The copy takes the original's place in one step: the code that runs is the same.
		if (sys5(SYS_mremap, (long)c, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, r[i].a) < 0) die("mremap");
	}
}

static int set_exe(void *unused) {
	long r = sys5(SYS_prctl, PR_SET_MM, PR_SET_MM_MAP, (long)&map, sizeof map, 0);
	sys5(SYS_exit, r < 0 ? (int)-r : 0, 0, 0, 0, 0);
	return 0;
}

static void forge(const char *target) {
	forged = target;
	relocate();
	if (own_namespace) {
		if (unshare(CLONE_NEWUSER)) die("unshare");
		fill_map();
		if (prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0)) die("PR_SET_MM_MAP");
		return;
	}
	fill_map();
	int status, pid = clone(set_exe, helper_stack + sizeof helper_stack, CLONE_VM | CLONE_NEWUSER | SIGCHLD, 0);
	if (pid < 0 || waitpid(pid, &status, 0) != pid) die("clone");
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		fprintf(stderr, "PR_SET_MM_MAP: %s\n", strerror(WEXITSTATUS(status)));
		_exit(9);
	}
}
#endif

static int keep(void *unused) { for (;;) pause(); return 0; }

// rewrite changes what a traced process says, from before its first instruction.
static void rewrite(int pid) {
	char name[64], line[512];
	sprintf(name, "/proc/%d/maps", pid);
	FILE *f = fopen(name, "r");
	sprintf(name, "/proc/%d/mem", pid);
	int mem = open(name, O_RDWR), done = 0;
	if (!f || mem < 0) die("traced memory");
	static char want[] = "GENUINE ", b[1 << 20];
	while (fgets(line, sizeof line, f)) {
		unsigned long from, to;
		if (sscanf(line, "%lx-%lx rw", &from, &to) != 2) continue;
		long n = pread(mem, b, to - from < sizeof b ? to - from : sizeof b, from);
		for (long i = 0; i + 16 <= n; i++)
			if (!memcmp(b + i, want, 8) && !memcmp(b + i + 8, "MESSAGE.", 8)) {
				if (pwrite(mem, "EVIL EVIL EVIL E", 16, from + i) == 16) done++;
			}
	}
	if (!done) { fprintf(stderr, "nothing was rewritten\n"); _exit(9); }
}

// client MODE PATH [OTHER]: PATH is the server's socket, OTHER the other program.
int main(int argc, char **argv) {
	char *mode = argv[1], *path = argv[2], *other = argc > 3 ? argv[3] : 0;
	alarm(60);
	signal(SIGPIPE, SIG_IGN);
	if (!strcmp(mode, "plain")) {
		int s = dial(path);
		speak(s);
		stay(s);
	} else if (!strcmp(mode, "say")) { // on an inherited socket
		int s = atoi(path);
		say(s);
		stay(s);
	} else if (!strcmp(mode, "speak")) {
		int s = atoi(path);
		speak(s);
		stay(s);
	} else if (!strcmp(mode, "exec")) { // verified, then another program on the same socket
		int s = dial(path);
		speak(s);
		heard(s);
		nap();
		execv(other, with(other, "say", number(s), 0));
	} else if (!strcmp(mode, "drop-exec")) { // as exec, with the group put aside first
		int s = dial(path);
		if (setresgid(-1, getgid(), -1)) die("setresgid");
		speak(s);
		heard(s);
		execv(other, with(other, "plain", path, 0));
	} else if (!strcmp(mode, "queue")) { // bytes first, then the trusted program
		int s = dial(path);
		out(s, "EVIL EVIL EVIL EVIL EVIL EVIL EV", 32);
		nap();
		execv(other, with(other, "speak", number(s), 0));
	} else if (!strcmp(mode, "child")) { // another process on the same socket
		int s = dial(path);
		answer(s);
		if (!fork()) { say(s); stay(s); _exit(0); }
		stay(s);
	} else if (!strcmp(mode, "steal")) { // it takes the challenge, too
		int s = dial(path);
		if (!fork()) { speak(s); stay(s); _exit(0); }
		pause();
	} else if (!strcmp(mode, "vanish")) { // OTHER clients that write and end
		for (int n = atoi(other); n > 0; n--) {
			int pid = fork(), status;
			if (!pid) { say(dial(path)); _exit(0); }
			if (waitpid(pid, &status, 0) != pid || status) die("vanish");
		}
		_exit(0);
	} else if (!strcmp(mode, "as")) { // with OTHER for a process id, which is free
		pid_t want = atoi(other);
		struct clone_args a = {.exit_signal = SIGCHLD, .set_tid = (unsigned long)&want, .set_tid_size = 1};
		int pid = syscall(SYS_clone3, &a, sizeof a);
		if (pid < 0) die("clone3");
		if (!pid) execv("/proc/self/exe", with("client", "plain", path, 0));
		waitpid(pid, 0, 0);
		_exit(0);
	} else if (!strcmp(mode, "orphan")) {
		int s = dial(path);
		if (fork()) _exit(0);
		speak(s);
		stay(s);
	} else if (!strcmp(mode, "keep-exec")) { // the old memory lives on in a helper
		int s = dial(path);
		static char stack[65536];
		int pid = clone(keep, stack + sizeof stack, CLONE_VM | SIGCHLD, 0);
		if (pid < 0) die("clone");
		speak(s);
		heard(s);
		execv(other, with(other, "say", number(s), 0));
	} else if (!strcmp(mode, "memfd")) {
		int from = open(other, O_RDONLY), to = memfd_create("trusted", 0);
		char b[65536];
		for (ssize_t n; (n = read(from, b, sizeof b)) > 0;) out(to, b, n);
		fexecve(to, with(other, "plain", path, 0), environ);
	} else if (!strcmp(mode, "trace") || !strcmp(mode, "traced")) {
		int pid = fork(), status;
		if (!pid) {
			ptrace(PTRACE_TRACEME, 0, 0, 0);
			execv(other, with(other, "plain", path, 0));
			die("exec");
		}
		waitpid(pid, &status, 0);
		rewrite(pid);
		ptrace(mode[5] ? PTRACE_CONT : PTRACE_DETACH, pid, 0, 0);
		waitpid(pid, &status, 0);
	} else if (!strcmp(mode, "no-new-privileges")) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		execv(other, with(other, "plain", path, 0));
	} else if (!strcmp(mode, "namespace")) {
		if (unshare(CLONE_NEWUSER)) die("unshare");
		execv(other, with(other, "plain", path, 0));
#if defined(EVIL) && defined(__x86_64__)
	} else if (!strcmp(mode, "forge") || !strcmp(mode, "forge-namespace")) {
		own_namespace = mode[5] != 0;
		forge(other);
		int s = dial(path);
		speak(s);
		stay(s);
#endif
	}
	die(mode);
}
