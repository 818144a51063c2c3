/**
 * @file pattern.h  libre's re_regex(), each pattern read once
 *
 * libre reads a pattern anew at every byte at which it tries to match it, and
 * a class as a list of ranges for every byte in it; that is most of what its
 * SIP decoder costs.  pattern.c defines re_regex() anew: patterns are kept as
 * bitmaps.  libre calls it through the PLT, so it takes the place of its own
 * in all of libre.  Results are the same, byte for byte, failures and what
 * they leave behind included; tests/fuzz/fuzz_pattern.c holds both side by
 * side.
 */

#ifndef COMMON_PATTERN_H
#define COMMON_PATTERN_H

/** ENOSYS if the function in use is not ours.  Calling it is also what makes
    the linker take pattern.c out of the library */
int pattern_check(void);

#endif
