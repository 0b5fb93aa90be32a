// An echo service and its client over D-Bus, with sd-bus.
//   sdbus serve ADDRESS     sdbus client ADDRESS   (commands on standard input)
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <time.h>

#define NAME "org.openxpc.Bench"
#define OBJECT "/bench"
enum { MAX_SAMPLES = 1 << 20 };

static void check(int r, const char *what) {
  if (r >= 0) return;
  fprintf(stderr, "sdbus: %s: %s\n", what, strerror(-r));
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

static sd_bus *join(const char *address) {
  sd_bus *bus;
  check(sd_bus_new(&bus), "new");
  check(sd_bus_set_address(bus, address), "address");
  check(sd_bus_set_bus_client(bus, 1), "client");
  check(sd_bus_start(bus), address);
  return bus;
}

static long sunk;

// Every method is served here: Call echoes, Sink counts, Count tells.
static int serve_message(sd_bus_message *m, void *data, sd_bus_error *error) {
  (void)data, (void)error;
  if (sd_bus_message_is_method_call(m, NAME, "Sink")) return sunk++, 1;
  if (sd_bus_message_is_method_call(m, NAME, "Count")) return sd_bus_reply_method_return(m, "t", (uint64_t)sunk);
  if (!sd_bus_message_is_method_call(m, NAME, "Call")) return 0;
  const void *p;
  size_t n;
  sd_bus_message *reply = NULL;
  int r = sd_bus_message_read_array(m, 'y', &p, &n);
  if (r >= 0) r = sd_bus_message_new_method_return(m, &reply);
  if (r >= 0) r = sd_bus_message_append_array(reply, 'y', p, n);
  if (r >= 0) r = sd_bus_send(NULL, reply, NULL);
  sd_bus_message_unref(reply);
  return r < 0 ? r : 1;
}

static void serve(const char *address) {
  sd_bus *bus = join(address);
  check(sd_bus_add_object(bus, NULL, OBJECT, serve_message, NULL), "object");
  check(sd_bus_request_name(bus, NAME, 0), "name");
  puts("ready");
  fflush(stdout);
  for (;;) {
    int r = sd_bus_process(bus, NULL);
    check(r, "process");
    if (r == 0) check(sd_bus_wait(bus, UINT64_MAX), "wait");
  }
}

static sd_bus_message *request(sd_bus *bus, const char *method, const char *p, size_t n) {
  sd_bus_message *m;
  check(sd_bus_message_new_method_call(bus, &m, NAME, OBJECT, NAME, method), "request");
  check(sd_bus_message_append_array(m, 'y', p, n), "payload");
  return m;
}

static void call(sd_bus *bus, const char *p, size_t n) {
  sd_bus_message *m = request(bus, "Call", p, n), *reply = NULL;
  sd_bus_error e = SD_BUS_ERROR_NULL;
  const void *got;
  size_t len;
  check(sd_bus_call(bus, m, 0, &e, &reply), e.message ? e.message : "call");
  check(sd_bus_message_read_array(reply, 'y', &got, &len), "reply");
  if (len != n) check(-5, "length of the reply");
  sd_bus_message_unref(reply);
  sd_bus_message_unref(m);
}

static uint64_t delivered(sd_bus *bus) {
  sd_bus_error e = SD_BUS_ERROR_NULL;
  sd_bus_message *reply = NULL;
  uint64_t n;
  check(sd_bus_call_method(bus, NAME, OBJECT, NAME, "Count", &e, &reply, ""), e.message ? e.message : "count");
  check(sd_bus_message_read(reply, "t", &n), "count");
  sd_bus_message_unref(reply);
  return n;
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

static void round_trips(const char *address, const char *p, size_t size, double limit, int redial) {
  sd_bus *bus = redial ? NULL : join(address);
  long n = 0;
  double start = now(), last = start;
  do {
    if (redial) bus = join(address);
    call(bus, p, size);
    double t = now();
    samples[n++] = t - last;
    last = t;
    if (!redial) continue;
    sd_bus_flush_close_unref(bus); // this is not timed
    last = now();
  } while (last - start < limit && n < MAX_SAMPLES);
  if (!redial) sd_bus_flush_close_unref(bus);
  report(n, last - start, n);
}

static long done;
static int answered(sd_bus_message *m, void *data, sd_bus_error *error) {
  (void)data, (void)error;
  if (sd_bus_message_is_method_error(m, NULL)) check(-5, "reply");
  done++;
  return 1;
}

static void step(sd_bus *bus) {
  int r = sd_bus_process(bus, NULL);
  check(r, "process");
  if (r == 0) check(sd_bus_wait(bus, UINT64_MAX), "wait");
}

static void window(const char *address, const char *p, size_t size, long depth, double limit) {
  sd_bus *bus = join(address);
  long sent = 0;
  done = 0;
  double start = now();
  while (now() - start < limit) {
    for (; sent - done < depth; sent++) {
      sd_bus_message *m = request(bus, "Call", p, size);
      check(sd_bus_call_async(bus, NULL, m, answered, NULL, 0), "call");
      sd_bus_message_unref(m);
    }
    step(bus);
  }
  while (done < sent) step(bus);
  double end = now();
  sd_bus_flush_close_unref(bus);
  report(done, end - start, 0);
}

static void one_way(const char *address, const char *p, size_t size, double limit) {
  sd_bus *bus = join(address);
  uint64_t before = delivered(bus), sent = 0;
  double start = now();
  while (now() - start < limit) {
    for (int i = 0; i < 64; i++, sent++) {
      sd_bus_message *m = request(bus, "Sink", p, size);
      check(sd_bus_message_set_expect_reply(m, 0), "no reply");
      check(sd_bus_send(bus, m, NULL), "send");
      sd_bus_message_unref(m);
    }
    check(sd_bus_flush(bus), "flush");
  }
  if (delivered(bus) - before != sent) check(-5, "count");
  double end = now();
  sd_bus_flush_close_unref(bus);
  report(sent, end - start, 0);
}

static int client(const char *address) {
  char line[256], work[32];
  long size, callers, ms;
  while (fgets(line, sizeof line, stdin)) {
    if (sscanf(line, "%31s %ld %ld %ld", work, &size, &callers, &ms) != 4) check(-22, "command");
    char *p = calloc(1, size + 1);
    double limit = ms * 1e6;
    if (!strcmp(work, "rtt")) round_trips(address, p, size, limit, 0);
    else if (!strcmp(work, "connect")) round_trips(address, p, size, limit, 1);
    else if (!strcmp(work, "async")) window(address, p, size, callers, limit);
    else if (!strcmp(work, "oneway")) one_way(address, p, size, limit);
    else puts("{\"error\":\"not offered\"}"), fflush(stdout);
    free(p);
  }
  return 0;
}

int main(int n, char **v) {
  if (n != 3) return 64;
  if (strcmp(v[1], "serve") == 0) serve(v[2]);
  return client(v[2]);
}
