// The limit: what a round trip over a Unix socket costs with nothing around it.
//   raw serve PATH     raw client PATH   (commands on standard input)
// A connection begins with two words, the size of its messages and whether they
// are answered; from then on every byte is a message's.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 65536, MAX_SAMPLES = 1 << 20 };
struct hello { uint32_t size, oneway; };

static void die(const char *what) { perror(what); exit(1); }

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

// share puts the calling thread on the first processor, or lets it go again. Two
// that wake each other there are quickest: a neighbour that idles takes up to ten
// times as long to wake, and then this would not be the limit.
static void share(int on) {
#ifdef __linux__
  static cpu_set_t all;
  cpu_set_t one;
  if (on && sched_getaffinity(0, sizeof all, &all) != 0) return;
  CPU_ZERO(&one);
  for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
    if (CPU_ISSET(i, &all)) CPU_SET(i, &one);
  sched_setaffinity(0, sizeof one, on ? &one : &all);
#else
  (void)on;
#endif
}

static int write_all(int fd, const char *b, size_t n) {
  while (n > 0) {
    ssize_t k = write(fd, b, n);
    if (k <= 0) return -1;
    b += k, n -= k;
  }
  return 0;
}

static int read_all(int fd, char *b, size_t n) {
  while (n > 0) {
    ssize_t k = read(fd, b, n);
    if (k <= 0) return -1;
    b += k, n -= k;
  }
  return 0;
}

static int make_socket(const char *path, struct sockaddr_un *a) {
  memset(a, 0, sizeof *a);
  a->sun_family = AF_UNIX;
  strncpy(a->sun_path, path, sizeof a->sun_path - 1);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (fd < 0) die("socket");
  return fd;
}

// Answers whole messages in the pieces in which they came.
static void *serve_one(void *arg) {
  int fd = (int)(intptr_t)arg;
  struct hello h;
  uint64_t count = 0;
  if (read_all(fd, (char *)&h, sizeof h) == 0 && h.size > 0) {
    size_t cap = h.size > BUFFER ? h.size : BUFFER, have = 0;
    char *b = malloc(cap);
    for (;;) {
      ssize_t k = read(fd, b + have, cap - have);
      if (k <= 0) break;
      have += k;
      size_t whole = have / h.size * h.size;
      count += whole / h.size;
      if (whole > 0 && !h.oneway && write_all(fd, b, whole) != 0) break;
      memmove(b, b + whole, have - whole);
      have -= whole;
    }
    if (h.oneway) write_all(fd, (char *)&count, sizeof count);
    free(b);
  }
  close(fd);
  return NULL;
}

static void serve(const char *path) {
  struct sockaddr_un a;
  int l = make_socket(path, &a);
  if (bind(l, (struct sockaddr *)&a, sizeof a) != 0 || listen(l, 128) != 0) die(path);
  puts("ready");
  fflush(stdout);
  for (;;) {
    int fd = accept(l, NULL, NULL);
    if (fd < 0) die("accept");
    pthread_t t;
    if (pthread_create(&t, NULL, serve_one, (void *)(intptr_t)fd) != 0) die("thread");
    pthread_detach(t);
  }
}

static int dial(const char *path, uint32_t size, uint32_t oneway) {
  struct sockaddr_un a;
  int fd = make_socket(path, &a);
  struct hello h = {size, oneway};
  if (connect(fd, (struct sockaddr *)&a, sizeof a) != 0) die(path);
  if (write_all(fd, (char *)&h, sizeof h) != 0) die("hello");
  return fd;
}

static double samples[MAX_SAMPLES];
static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static void report(long calls, double ns, long sampled) {
  qsort(samples, sampled, sizeof *samples, by_value);
  printf("{\"calls\":%ld,\"seconds\":%.9f", calls, ns / 1e9);
  if (sampled > 0) printf(",\"p50\":%.0f,\"p99\":%.0f", samples[sampled / 2], samples[sampled * 99 / 100]);
  puts("}");
  fflush(stdout);
}

static void round_trips(const char *path, size_t size, double limit, int redial) {
  char *b = calloc(1, size);
  int fd = redial ? -1 : dial(path, size, 0);
  long n = 0;
  // The first one pays for the pages of both buffers.
  if (!redial && (write_all(fd, b, size) != 0 || read_all(fd, b, size) != 0)) die("round trip");
  double start = now(), last = start;
  do {
    if (redial) fd = dial(path, size, 0);
    if (write_all(fd, b, size) != 0 || read_all(fd, b, size) != 0) die("round trip");
    double t = now();
    samples[n++] = t - last;
    last = t;
    if (!redial) continue;
    close(fd); // this is not timed
    last = now();
  } while (last - start < limit && n < MAX_SAMPLES);
  if (!redial) close(fd);
  free(b);
  report(n, last - start, n);
}

static void window(const char *path, size_t size, long depth, double limit) {
  size_t cap = size * depth, have = 0;
  char *out = calloc(1, cap), *in = malloc(cap);
  int fd = dial(path, size, 0);
  long done = 0, room = depth, open = 0;
  double start = now();
  do {
    if (write_all(fd, out, room * size) != 0) die("write");
    open += room;
    ssize_t k = read(fd, in, cap - have);
    if (k <= 0) die("read");
    have += k;
    room = have / size;
    have -= room * size;
    open -= room, done += room;
  } while (now() - start < limit);
  double end = now();
  if (read_all(fd, in, open * size - have) != 0) die("drain");
  close(fd);
  free(out), free(in);
  report(done, end - start, 0);
}

static void one_way(const char *path, size_t size, double limit) {
  char *b = calloc(1, size);
  int fd = dial(path, size, 1);
  uint64_t sent = 0, got = 0;
  double start = now();
  do {
    for (int i = 0; i < 64; i++, sent++)
      if (write_all(fd, b, size) != 0) die("write");
  } while (now() - start < limit);
  shutdown(fd, SHUT_WR);
  if (read_all(fd, (char *)&got, sizeof got) != 0 || got != sent) die("count");
  double end = now();
  close(fd);
  free(b);
  report(got, end - start, 0);
}

static int client(const char *path) {
  char line[256], work[32];
  long size, callers, ms;
  while (fgets(line, sizeof line, stdin)) {
    if (sscanf(line, "%31s %ld %ld %ld", work, &size, &callers, &ms) != 4) die("command");
    double limit = ms * 1e6;
    if (!strcmp(work, "rtt")) {
      share(1);
      round_trips(path, size, limit, 0);
      share(0);
    }
    else if (!strcmp(work, "connect")) round_trips(path, size, limit, 1);
    else if (!strcmp(work, "async")) window(path, size, callers, limit);
    else if (!strcmp(work, "oneway")) one_way(path, size, limit);
    else puts("{\"error\":\"not offered\"}"), fflush(stdout);
  }
  return 0;
}

int main(int n, char **v) {
  if (n != 3) return 64;
  if (strcmp(v[1], "serve") == 0) {
    share(1);
    serve(v[2]);
  }
  return client(v[2]);
}
