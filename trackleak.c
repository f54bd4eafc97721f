/* TrackLeak: finds memory leaks in unmodified Python programs, in production.
 *
 *     LD_PRELOAD=./trackleak.so python3.11 app.py
 *
 * This file is the table of contents of the shared object: the modules, lowest layer first, as one
 * translation unit.
 *     cc -shared -fPIC -O2 -o trackleak.so trackleak.c -ldl -pthread
 * A module may use those above it in this list, never those below (tools/arrows.py).
 * docs/ARCHITECTURE.md tells the story.
 */

/* base: tools; they know nothing of leaks. */
#include "src/base/types.h"
#include "src/base/hash.c"
#include "src/base/math.c"
#include "src/base/random.c"
#include "src/base/sort.c"
#include "src/base/clock.c"
#include "src/base/pages.c"
#include "src/base/intern.c"
#include "src/base/lock.c"
#include "src/base/thread.c"
#include "src/base/text.c"
#include "src/base/diag.c"
#include "src/base/descriptor.c"
#include "src/base/folder.c"

/* process: what the process can tell us. */
#include "src/process/config.c"
#include "src/process/own_code.c"
#include "src/process/real_malloc.c"
#include "src/process/modules.c"
#include "src/process/script_name.c"
#include "src/process/proc_memory.c"
#include "src/process/py_layout.c"
#include "src/process/py_lines.c"
#include "src/process/py_frame.c"
#include "src/process/safe_read.c"
#include "src/process/eh_frame.c"
#include "src/process/native_modules.c"
#include "src/process/native_stack.c"
#include "src/process/py_class.c"
#include "src/process/py_type.c"
#include "src/process/py_tracer.c"

/* profile: what we remember. Every table has a fixed size; recorder is the only writer. */
#include "src/profile/sampler.c"
#include "src/profile/governor.c"
#include "src/profile/names.c"
#include "src/profile/stacks.c"
#include "src/profile/sites.c"
#include "src/profile/classes.c"
#include "src/profile/live_blocks.c"
#include "src/profile/frame_memo.c"
#include "src/profile/tallies.c"
#include "src/profile/maps.c"
#include "src/profile/mixed_stack.c"
#include "src/profile/stack_memo.c"
#include "src/profile/blame.c"
#include "src/profile/recorder.c"
#include "src/profile/contexts.c"

/* analysis: pure arithmetic over the profile's numbers. */
#include "src/analysis/growth.c"
#include "src/analysis/survival.c"
#include "src/analysis/verdict.c"
#include "src/analysis/rss_breakdown.c"

/* output: what we write. Writers see only a snapshot. */
#include "src/output/evidence.c"
#include "src/output/snapshot_work.c"
#include "src/output/snapshot_live.c"
#include "src/output/snapshot_sites.c"
#include "src/output/snapshot_stacks.c"
#include "src/output/rss_history.c"
#include "src/output/snapshot_build.c"
#include "src/output/log_folder.c"
#include "src/output/log_file.c"
#include "src/output/table.c"
#include "src/output/documents.c"
#include "src/output/snapshot_json.c"
#include "src/output/snapshot_file.c"
#include "src/output/event_log.c"
#include "src/output/elastic_bulk.c"
#include "src/output/elastic_url.c"
#include "src/output/elastic_name.c"
#include "src/output/elastic_http.c"
#include "src/output/elastic_notices.c"
#include "src/output/elastic_queue.c"
#include "src/output/elastic_post.c"
#include "src/output/dump.c"

/* agent: when things happen. */
#include "src/agent/reports.c"
#include "src/agent/pressure.c"
#include "src/agent/control_request.c"
#include "src/agent/control_socket.c"
#include "src/agent/control.c"
#include "src/agent/worker.c"
#include "src/agent/lifecycle.c"

/* hooks: where the host enters. */
#include "src/hooks/hook_events.c"
#include "src/hooks/hook_mmap.c"
#include "src/hooks/hook_create.c"
#include "src/hooks/hook_python.c"
#include "src/hooks/hook_malloc.c"
#include "src/hooks/hook_exit.c"
#include "src/hooks/api.c"
#include "src/hooks/start.c"
