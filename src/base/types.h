/* types: the words every module shares: linkage, branch hints, errors.
 *
 * Knows     nothing of leaks, Python or libc's allocators.
 */
#ifndef TL_BASE_TYPES_H
#define TL_BASE_TYPES_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TL_VERSION "0.1.0"

/* The product is one translation unit (trackleak.c), where all that is not a hook or the API is
 * static. Under TL_SEAMS the modules compile apart, so that a unit test can link one layer and fake
 * the layer below. */
#ifdef TL_SEAMS
#define TL_INTERNAL __attribute__((visibility("hidden")))
#define TL_DATA     extern __attribute__((visibility("hidden")))
#else
#define TL_INTERNAL static
#define TL_DATA     static
#endif

#define TL_EXPORT            __attribute__((visibility("default")))
#define TL_COLD              __attribute__((cold, noinline))
#define TL_APART             __attribute__((noinline)) /* off the fast path, yet run often */
#define TL_FLAT              __attribute__((flatten))  /* what it calls becomes part of it */
#define TL_RARELY(condition) __builtin_expect(!!(condition), 0)
#define TL_MOSTLY(condition) __builtin_expect(!!(condition), 1)
#define TL_COUNT_OF(array)   (sizeof(array) / sizeof((array)[0]))

/* Figures that are read without the lock that guards their writers, where a stale value does no
 * harm. */
#define TL_LOAD(variable)         __atomic_load_n(&(variable), __ATOMIC_RELAXED)
#define TL_STORE(variable, value) __atomic_store_n(&(variable), (value), __ATOMIC_RELAXED)
#define TL_ADD(variable, value)   __atomic_fetch_add(&(variable), (value), __ATOMIC_RELAXED)
/* A load on the fast paths: gcc does not fold an atomic load into the comparison, and a plain one
 * of an aligned word is just as whole. */
#ifdef __SANITIZE_THREAD__
#define TL_LOAD_FAST(variable) TL_LOAD(variable)
#else
#define TL_LOAD_FAST(variable) (variable)
#endif

/* 0 is success. */
enum tl_err {
	TL_OK = 0,
	TL_ERR_FULL,    /* a fixed-size table or buffer has no room */
	TL_ERR_SYSTEM,  /* the system refused; errno says why */
	TL_ERR_REFUSED, /* what was found is not safe to use */
	TL_ERR_UNKNOWN, /* not known: an unknown version, a missing symbol */
};

#endif
