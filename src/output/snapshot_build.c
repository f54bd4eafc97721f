/* DESIGN
 * snapshot_live adds up what is alive, snapshot_sites puts the lines' figures beside it, and
 * snapshot_stacks leads from what is held to the stacks that allocated it. Here is the order of it
 * all, and what is no row of the profile: alarms, maps by owner, the process.
 */
#include "snapshot_build.h"

#include "../base/clock.h"
#include "../base/math.h"
#include "../base/pages.h"
#include "../base/sort.h"
#include "../process/config.h"
#include "../process/native_modules.h"
#include "../process/proc_memory.h"
#include "../process/py_type.h"
#include "../profile/contexts.h"
#include "../profile/governor.h"
#include "../profile/live_blocks.h"
#include "../profile/maps.h"
#include "../profile/names.h"
#include "../profile/recorder.h"
#include "../profile/sampler.h"
#include "../profile/sites.h"
#include "../profile/stacks.h"
#include "../profile/tallies.h"
#include "evidence.h"
#include "rss_history.h"
#include "snapshot_live.h"
#include "snapshot_sites.h"
#include "snapshot_stacks.h"
#include "snapshot_work.h"

#include <string.h>

static void snapshot_add_alarm(struct snapshot_work *work, uint32_t site, uint32_t context)
{
	const struct verdict *verdict = context == UINT32_MAX ? &work->sites[site].verdict
							      : &work->contexts[context].verdict;

	if (!verdict_is_alarm(verdict->kind))
		return;
	work->keys[work->snapshot.alarm_count] = verdict->growth.low;
	work->alarms[work->snapshot.alarm_count++] =
		(struct snapshot_alarm){.site = site, .context = context};
}

/* What comes from free lists, by type. */
static void snapshot_build_pools(struct snapshot_work *work)
{
	for (uint32_t number = 1; number < contexts_end(); number++) {
		struct snapshot_pool *pool = &work->pools[work->snapshot.pool_count];

		if (contexts_at(number)->site != CONTEXTS_OF_TYPE)
			continue;
		pool->type = py_type_name((enum py_type)contexts_at(number)->via);
		pool->verdict = evidence_judge_context(work->evidence, number);
		pool->held_count = evidence_held_count(work->evidence, number);
		work->keys[work->snapshot.pool_count++] =
			verdict_is_alarm(pool->verdict.kind) ? pool->verdict.growth.low : 0;
	}
	snapshot_work_start_order(work, work->snapshot.pool_count);
	sort_descending(work->order, work->snapshot.pool_count, work->keys);
	sort_apply(work->order, work->snapshot.pool_count, work->pools, sizeof(*work->pools));
	work->snapshot.pools = work->pools;
}

/* The contexts, and the sites of which no context says it better. */
static void snapshot_build_alarms(struct snapshot_work *work)
{
	for (uint32_t i = 0; i < work->snapshot.context_count; i++) {
		snapshot_add_alarm(work, work->contexts[i].site, i);
		if (verdict_is_alarm(work->contexts[i].verdict.kind))
			work->site_has_alarm[work->contexts[i].site] = true;
	}
	for (uint32_t i = 0; i < work->snapshot.site_count; i++) {
		if (!work->site_has_alarm[i])
			snapshot_add_alarm(work, i, UINT32_MAX);
	}
	snapshot_work_start_order(work, work->snapshot.alarm_count);
	sort_descending(work->order, work->snapshot.alarm_count, work->keys);
	sort_apply(work->order, work->snapshot.alarm_count, work->alarms, sizeof(*work->alarms));
	work->snapshot.alarms = work->alarms;
}

static void snapshot_add_owner(struct snapshot_map *owners, size_t *count, const char *owner,
			       uint64_t bytes)
{
	size_t i = 0;

	while (i < *count && strcmp(owners[i].owner, owner) != 0)
		i++;
	if (i == *count && *count == SNAPSHOT_OWNERS) {
		i = SNAPSHOT_OWNERS - 1;
		owners[i].owner = "<others>";
	} else if (i == *count) {
		owners[(*count)++] = (struct snapshot_map){.owner = owner};
	}
	owners[i].bytes += bytes;
	owners[i].count++;
}

static void snapshot_build_maps(struct snapshot_work *work)
{
	struct snapshot_map *owners = work->owners;
	struct map maps[64];
	size_t from = 0, copied, count = 0;

	while ((copied = maps_copy(from, maps, TL_COUNT_OF(maps))) > 0) {
		for (size_t i = 0; i < copied; i++) {
			const char *owner = "pymalloc arenas", *file;
			uint32_t site = sites_copy_line(maps[i].line).site;

			if (maps[i].kind == MAP_CHARGED)
				snapshot_work_names(sites_copy_life(site).function, &owner, &file);
			snapshot_add_owner(owners, &count, owner, maps_bytes(&maps[i]));
		}
		from += copied;
	}
	work->snapshot.maps = owners;
	work->snapshot.map_count = count;
}

/* `facts` has what the kernel says. */
static struct rss_breakdown snapshot_explain_rss(const struct snapshot_work *work,
						 const struct snapshot_identity *identity,
						 struct rss_facts facts)
{
	struct map maps[64];
	size_t from = 0, copied;

	while ((copied = maps_copy(from, maps, TL_COUNT_OF(maps))) > 0) {
		for (size_t i = 0; i < copied; i++)
			*(maps[i].kind == MAP_CHARGED ? &facts.maps : &facts.arenas) +=
				pages_resident_in((const char *)maps[i].start,
						  maps[i].end - maps[i].start);
		from += copied;
	}
	facts.agent = work->snapshot.agent_bytes;
	facts.has_libc = identity->has_libc;
	facts.libc_used = identity->libc_used;
	facts.libc_free = identity->libc_free;
	facts.python_live = work->python_live;
	facts.libc_estimate = work->libc_live;
	facts.live = work->snapshot.live_bytes.value;
	facts.peak_live = work->snapshot.peak_live_bytes;
	return rss_breakdown(&facts);
}

static void snapshot_note_rss(struct snapshot *snapshot, bool is_dump)
{
	struct rss_moment now = {
		.seconds = snapshot->elapsed_s,
		.rss = snapshot->rss_bytes,
		.live = snapshot->live_bytes.value,
		.live_se = snapshot->live_bytes.se,
		.parts = snapshot->rss,
	};

	snapshot->rss_growth = rss_history_growth(&now);
	if (snapshot->rss.remedy == NULL)
		snapshot->rss.remedy = snapshot->rss_growth.cause;
	if (is_dump)
		rss_history_add(&now);
}

/* After the samples are gathered: every module of their stacks is known by then. */
static void snapshot_build_modules(struct snapshot_work *work)
{
	native_modules_name_all();
	for (uint16_t i = 0; i < native_modules_count(); i++) {
		const struct native_module *module = native_modules_at(i);

		work->modules[i] = (struct snapshot_module){
			.path = module->path,
			.build_id = module->build_id,
			.build_id_length = module->build_id_length,
		};
		work->snapshot.module_count = i + 1u;
	}
	work->snapshot.modules = work->modules;
}

static void snapshot_fill_process(struct snapshot_work *work,
				  const struct snapshot_identity *identity)
{
	struct snapshot *snapshot = &work->snapshot;
	struct proc_memory memory = proc_memory_read();
	struct recorder_losses losses = recorder_losses();
	struct sites_peak peak = sites_peak_now(work->now);
	double time = clock_epoch_s(), bytes = 0, bytes_variance = 0, count = 0, count_variance = 0;

	for (uint32_t line = 0; line < sites_lines_end(); line++) {
		if (!sites_line_is_known(line))
			continue;
		bytes += work->live[line].bytes;
		bytes_variance += work->live[line].bytes_variance;
		count += work->live[line].count;
		count_variance += work->live[line].count_variance;
	}
	snapshot->pid = identity->pid;
	snapshot->is_forked_child = identity->is_forked_child;
	snapshot->process_start = identity->process_start;
	snapshot->time = time;
	snapshot->elapsed_s = recorder_elapsed_s();
	snapshot->dump = identity->dump;
	snapshot->is_final = identity->is_final;
	snapshot->baseline_time = identity->baseline_time;
	snapshot->hostname = identity->hostname;
	snapshot->job_name = config.job_name;
	snapshot->labels = config.labels;
	snapshot->python_version = identity->python_version;
	snapshot->program = identity->program;
	snapshot->script = identity->script;
	snapshot->sample_rate = sampler_rate_now();
	snapshot->sample_bytes = sampler_bytes_now();
	snapshot->min_size = sampler_min_size;
	snapshot->live_capacity = live_blocks_capacity();
	snapshot->lost_samples =
		losses.samples + losses.missed_frees + losses.reentrant + maps_lost();
	snapshot->thinned = live_blocks_thinned();
	snapshot->cut_stacks = stacks_refused();
	snapshot->other_sites = names_others() + sites_refused();
	snapshot->rss_bytes = memory.rss_bytes;
	snapshot->peak_rss_bytes = memory.peak_rss_bytes;
	snapshot->live_bytes = (struct estimate){bytes, math_sqrt(bytes_variance)};
	snapshot->live_count = (struct estimate){count, math_sqrt(count_variance)};
	snapshot->peak_live_bytes = (double)peak.peak;
	snapshot->peak_live_time = time - snapshot_work_seconds_since(work, peak.peak_tick);
	snapshot->agent_cpu_s = identity->agent_cpu_s;
	snapshot->sampling_cpu_s = governor_spent_s();
	snapshot->agent_bytes = pages_resident_bytes();
	snapshot->rss = snapshot_explain_rss(work, identity,
					     (struct rss_facts){.rss = memory.rss_bytes,
								.anonymous = memory.anonymous_bytes,
								.stack = memory.stack_bytes});
	snapshot_note_rss(snapshot, !identity->is_asked_for);
}

TL_INTERNAL struct snapshot *snapshot_build(const struct snapshot_identity *identity)
{
	struct snapshot_work *work = snapshot_work_open();

	if (work == NULL)
		return NULL;
	names_resolve_natives();
	tallies_collect();
	work->now = recorder_now();
	contexts_tick(work->now);
	work->evidence = evidence_open(work->now);
	if (snapshot_live_gather(work) != TL_OK) {
		evidence_close(work->evidence);
		snapshot_work_close(work);
		return NULL;
	}
	snapshot_build_modules(work);
	snapshot_sites_build(work);
	snapshot_stacks_build(work);
	snapshot_build_pools(work);
	work->snapshot.types = work->types;
	work->snapshot.type_count =
		evidence_put_all_types(work->evidence, work->types, SNAPSHOT_ALL_TYPES);
	evidence_close(work->evidence);
	snapshot_build_alarms(work);
	snapshot_build_maps(work);
	snapshot_fill_process(work, identity);
	if (!identity->is_asked_for)
		snapshot_live_end_interval(work->now);
	return &work->snapshot;
}

TL_INTERNAL void snapshot_release(struct snapshot *snapshot)
{
	snapshot_work_close((struct snapshot_work *)snapshot);
}
