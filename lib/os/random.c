/* SPDX-License-Identifier: MIT */
/* Random bytes from the kernel. */
#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include "lib/os/net.h"
#include "lib/os/point.h"

/* Kernels before 3.17: /dev/random waits for the pool to be filled, which /dev/urandom would not do. */
static ssize_t read_device(uint8_t *to, size_t n)
{
	int fd = open("/dev/random", O_RDONLY | O_CLOEXEC);
	ssize_t rc;

	if (fd < 0)
		return -1;
	rc = read(fd, to, n);
	close(fd);
	return rc;
}

int os_random(void *bytes, size_t n, struct err *e)
{
	uint8_t *to = bytes;
	ssize_t rc;

	if (os_point(OS_CALL_OTHER) < 0)
		return err_sys(e, errno, "random bytes");
	while (n > 0) {
		rc = getrandom(to, n, 0);
		if (rc < 0 && errno == ENOSYS)
			rc = read_device(to, n);
		if (rc < 0 && errno == EINTR)
			continue;
		if (rc <= 0)
			return err_sys(e, rc < 0 ? errno : EIO, "random bytes");
		to += rc;
		n -= (size_t)rc;
	}
	return 0;
}
