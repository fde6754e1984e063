// SPDX-License-Identifier: GPL-2.0-only
/*
 * An init that runs the host's Python on the script whose path is in /script,
 * and powers off: the host's files are mounted read-only at /host.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void need(int ret, const char *what)
{
	if (!ret)
		return;
	perror(what);
	reboot(RB_POWER_OFF);
}

static void run(const char *script)
{
	need(chroot("/host") || chdir("/"), "chroot");
	setenv("PATH", "/usr/local/bin:/usr/bin:/bin", 1);
	execlp("python3", "python3", "-B", script, NULL);
	perror("python3");
	_exit(1);
}

int main(void)
{
	char script[4096];
	ssize_t n;
	int fd;

	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	fd = open("/dev/console", O_RDWR);
	dup2(fd, 1);
	dup2(fd, 2);
	need(mount("none", "/host", "hostfs", MS_RDONLY, "/"), "hostfs");
	need(mount("proc", "/host/proc", "proc", 0, NULL), "proc");
	need(mount("sysfs", "/host/sys", "sysfs", 0, NULL), "sysfs");
	need(mount("debugfs", "/host/sys/kernel/debug", "debugfs", 0, NULL), "debugfs");
	need(mount("cgroup2", "/host/sys/fs/cgroup", "cgroup2", 0, NULL), "cgroup2");
	fd = open("/zsfuzz.ko", O_RDONLY | O_CLOEXEC);
	need(syscall(SYS_finit_module, fd, "", 0), "zsfuzz.ko");
	fd = open("/script", O_RDONLY | O_CLOEXEC);
	n = read(fd, script, sizeof(script) - 1);
	script[n < 0 ? 0 : n] = 0;
	if (!fork())
		run(script);
	wait(NULL);
	reboot(RB_POWER_OFF);
}
