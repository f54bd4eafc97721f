/* trackleak.h: what a program may ask of TrackLeak when it runs under it. Nothing is linked: without
 * the library in the process every call does nothing and returns -1.
 *
 *     trackleak_baseline();      what is alive from here on
 *     handle_requests(1000);
 *     trackleak_snapshot();      snapshot-<pid>.json in the log folder: `trackleak report`
 *
 * All return 0 when it is done and -1 when not: no library, a process that is not profiled, or
 * profiling that has not begun. Any thread may call them, not a signal handler.
 */
#ifndef TRACKLEAK_H
#define TRACKLEAK_H

#ifdef __cplusplus
extern "C" {
#endif

/* Writes the snapshot file now. The caller waits for it: some milliseconds. */
__attribute__((weak)) int trackleak_snapshot(void);
/* From now on growth, verdicts and the figures since the baseline speak of what is allocated after
 * this call. */
__attribute__((weak)) int trackleak_baseline(void);
/* Nothing is counted or sampled until resume; frees are followed as ever. */
__attribute__((weak)) int trackleak_pause(void);
__attribute__((weak)) int trackleak_resume(void);

#define trackleak_snapshot() (trackleak_snapshot ? trackleak_snapshot() : -1)
#define trackleak_baseline() (trackleak_baseline ? trackleak_baseline() : -1)
#define trackleak_pause()    (trackleak_pause ? trackleak_pause() : -1)
#define trackleak_resume()   (trackleak_resume ? trackleak_resume() : -1)

#ifdef __cplusplus
}
#endif

#endif
