// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tries what a guest must not do, and says what came of it, one line
 * "intruder: <attempt> <errno>" each, 0 for what was not refused.  As init it
 * is a guest's root user; started on the host in the place of the kernel, as
 * test_confined.py does, it is whoever has taken over a guest's kernel.  Then
 * its last arguments are a file that is none of its business, a port of TCP
 * and its parent.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void tell(const char *attempt, long ret)
{
	printf("intruder: %s %d\n", attempt, ret < 0 ? errno : 0);
	fflush(stdout);
}

static void try_open(const char *attempt, const char *path, int flags)
{
	int fd = open(path, flags, 0644);

	tell(attempt, fd);
	if (fd >= 0)
		close(fd);
}

static const char *beside(const char *folder, const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

/* ---- as init of a guest ---------------------------------------------------- */

static void see_more(const char *attempt, const char *of)
{
	tell(attempt, mount("none", "/sys", "hostfs", 0, of));
	try_open(beside(attempt, "etc"), "/sys/etc", O_RDONLY);
	try_open(beside(attempt, "data"), "/sys/data", O_WRONLY);
	umount("/sys");
}

static void in_the_guest(void)
{
	int console;

	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	console = open("/dev/console", O_RDWR);
	dup2(console, 1);
	try_open("write-root", "/written", O_WRONLY | O_CREAT);
	tell("remount", mount("none", "/", NULL, MS_REMOUNT, NULL));
	try_open("write-root-remounted", "/written", O_WRONLY | O_CREAT);
	try_open("write-data-remounted", "/data", O_WRONLY);
	see_more("hostfs", "/");
	see_more("hostfs-above", "/../../../../../../../../..");
	tell("socket", socket(AF_INET, SOCK_STREAM, 0));
	reboot(LINUX_REBOOT_CMD_POWER_OFF);
}

/* ---- in the place of the kernel --------------------------------------------- */

static int reach(const char *port)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	to.sin_port = htons(atoi(port));
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return fd < 0 ? fd : connect(fd, (struct sockaddr *)&to, sizeof(to));
}

static int send_out(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(53) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return fd < 0 ? fd : sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to));
}

static void on_the_host(const char *root, char **given)
{
	const char *secret = given[0];
	pid_t parent = atoi(given[2]);
	char path[512];

	try_open("read-secret", secret, O_RDONLY);
	try_open("write-secret", secret, O_WRONLY);
	try_open("write-data", beside(root, "data"), O_WRONLY);
	try_open("read-data", beside(root, "data"), O_RDONLY);
	try_open("create-in-root", beside(root, "written"), O_WRONLY | O_CREAT);
	snprintf(path, sizeof(path), "%s-2", secret);
	try_open("create-beside-secret", path, O_WRONLY | O_CREAT);
	tell("remove-secret", unlink(secret));
	try_open("list-host", "/", O_RDONLY | O_DIRECTORY);
	try_open("passwords", "/etc/passwd", O_RDONLY);
	snprintf(path, sizeof(path), "/proc/%d/environ", parent);
	try_open("parent-environment", path, O_RDONLY);
	snprintf(path, sizeof(path), "/proc/%d/mem", parent);
	try_open("parent-memory", path, O_RDWR);
	tell("signal-parent", kill(parent, SIGURG));
	tell("tcp", reach(given[1]));
	tell("udp", send_out());
}

int main(int argc, char **argv)
{
	int i;

	if (getpid() == 1)
		in_the_guest();
	for (i = 1; i < argc; i++)
		if (!strncmp(argv[i], "hostfs=", 7))
			on_the_host(argv[i] + 7, argv + argc - 3);
	return 0;
}
