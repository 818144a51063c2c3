/**
 * @file tmpdir.h  Takes a test's directory away with the files in it
 */

#ifndef SIPIS_TESTS_TMPDIR_H
#define SIPIS_TESTS_TMPDIR_H

#include <dirent.h>
#include <unistd.h>

/** 0, or -1 if something is left */
static inline int tmpdir_remove(const char *dir)
{
	DIR *d = opendir(dir);
	const struct dirent *e;

	if (!d)
		return -1;

	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			(void)unlinkat(dirfd(d), e->d_name, 0);
	(void)closedir(d);
	return rmdir(dir);
}

#endif
