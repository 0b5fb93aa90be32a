// A library that speaks in the place of the program that it is loaded into, and with
// WIPE set wipes the variable that shows it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

extern char **environ;

__attribute__((constructor)) static void begin(void) {
	char *path = getenv("SPEAK_TO"), nonce[16], c;
	if (getenv("WIPE"))
		for (char **e = environ; *e; e++)
			if (!strncmp(*e, "LD_PRELOAD=", 11)) memset(*e, 'x', 11);
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	if (!path) return;
	strncpy(a.sun_path, path, sizeof a.sun_path - 1);
	int s = socket(AF_UNIX, SOCK_STREAM, 0);
	if (connect(s, (struct sockaddr *)&a, sizeof a) || read(s, nonce, 16) != 16 || write(s, nonce, 16) != 16 || write(s, "EVIL EVIL EVIL E", 16) != 16) _exit(0);
	while (read(s, &c, 1) > 0);
	_exit(0);
}
