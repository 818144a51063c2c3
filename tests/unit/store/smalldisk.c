/**
 * @file smalldisk.c  A disk that is as small as a test wants
 */

#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/stat.h>
#include <sqlite3.h>
#include "tests/unit/store/smalldisk.h"

/* System calls have no argument of ours */
static struct {
	char dir[128];
	atomic_size_t room;
} disk;


static size_t used(void)
{
	DIR *dir = opendir(disk.dir);
	const struct dirent *de;
	struct stat st;
	size_t n = 0;

	while (dir && (de = readdir(dir)))
		if (!fstatat(dirfd(dir), de->d_name, &st, 0) &&
		    S_ISREG(st.st_mode))
			n += (size_t)st.st_size;
	if (dir)
		(void)closedir(dir);

	return n;
}


/* How much of n bytes at off there is room for */
static size_t fitting(int fd, size_t n, off_t off)
{
	const size_t is = used(), room = atomic_load(&disk.room);
	const size_t left = is < room ? room - is : 0;
	struct stat st;
	size_t old;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		return n;

	/* what is there already takes no more */
	old = off < st.st_size ? (size_t)(st.st_size - off) : 0;

	return n <= old + left ? n : old + left;
}


static ssize_t pwrite_small(int fd, const void *buf, size_t n, off_t off)
{
	const size_t fit = fitting(fd, n, off);

	if (n && !fit) {
		errno = ENOSPC;
		return -1;
	}

	return pwrite(fd, buf, fit, off);
}


static ssize_t write_small(int fd, const void *buf, size_t n)
{
	const off_t off = lseek(fd, 0, SEEK_CUR);
	const size_t fit = off < 0 ? n : fitting(fd, n, off);

	if (n && !fit) {
		errno = ENOSPC;
		return -1;
	}

	return write(fd, buf, fit);
}


int smalldisk_make(const char *dir, size_t room)
{
	static const struct {
		const char *name;
		sqlite3_syscall_ptr call;
	} v[] = {
		{ "write", (sqlite3_syscall_ptr)write_small },
		{ "pwrite", (sqlite3_syscall_ptr)pwrite_small },
		{ "pwrite64", (sqlite3_syscall_ptr)pwrite_small },
	};
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

	_Static_assert(sizeof(off_t) == 8, "pwrite is pwrite64");
	(void)snprintf(disk.dir, sizeof(disk.dir), "%s", dir);
	smalldisk_grow(room);
	if (!vfs || vfs->iVersion < 3)
		return ENOTSUP;

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		if (vfs->xGetSystemCall(vfs, v[i].name) &&
		    vfs->xSetSystemCall(vfs, v[i].name, v[i].call))
			return ENOTSUP;

	return 0;
}


void smalldisk_grow(size_t room)
{
	atomic_store(&disk.room, room);
}
