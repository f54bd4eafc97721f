#include "control.h"

#include "../base/clock.h"
#include "../base/pages.h"
#include "../base/text.h"
#include "../output/log_folder.h"
#include "../output/snapshot_build.h"
#include "../output/snapshot_file.h"
#include "../process/config.h"
#include "../process/proc_memory.h"
#include "../profile/governor.h"
#include "../profile/live_blocks.h"
#include "../profile/recorder.h"
#include "../profile/sampler.h"
#include "control_request.h"
#include "control_socket.h"
#include "reports.h"

#define CONTROL_ANSWER  32768 /* a path of 3,839 bytes, each at most `\u001f`, and the rest */
#define CONTROL_WAIT_MS 1000

static const char control_is_dumping[] = "another dump is under way: ask again";

static void control_put_key(struct text *answer, const char *key)
{
	text_put(answer, ",\"");
	text_put(answer, key);
	text_put(answer, "\":");
}

static void control_put_string(struct text *answer, const char *key, const char *value)
{
	control_put_key(answer, key);
	text_put_json(answer, value);
}

static void control_put_number(struct text *answer, const char *key, double value,
			       unsigned decimals)
{
	control_put_key(answer, key);
	text_put_fixed(answer, value, decimals);
}

static void control_refuse(struct text *answer, const char *why)
{
	text_clear(answer);
	text_put(answer, "{\"ok\":false,\"error\":");
	text_put_json(answer, why);
}

static void control_put_baseline(struct text *answer)
{
	double time = reports_identity()->baseline_time;

	control_put_number(answer, "baseline_time", time > 0 ? time : (double)__builtin_nanf(""),
			   3);
}

static double control_begins_in_s(void)
{
	uint64_t now = clock_coarse_ns(), begin = recorder_opens_at_ns();

	return begin > now ? (double)(begin - now) / 1e9 : 0;
}

static const char *control_state(void)
{
	return reports_are_frozen()   ? "ended"
	       : recorder_is_paused() ? "paused"
	       : recorder_has_begun() ? "running"
				      : "starting";
}

static void control_put_settings(struct text *answer)
{
	control_put_key(answer, "settings");
	text_put(answer, "{\"dump_interval\":");
	text_put_u64(answer, config.dump_interval_s);
	control_put_number(answer, "max_overhead", config.max_overhead, 3);
	control_put_number(answer, "sample_rate", sampler_rate_now(), 0);
	control_put_number(answer, "sample_bytes", sampler_bytes_now(), 0);
	control_put_number(answer, "min_size", (double)sampler_min_size, 0);
	text_put_char(answer, '}');
}

static void control_status(struct text *answer)
{
	const struct snapshot_identity *identity = reports_identity();
	struct recorder_losses losses = recorder_losses();
	char folder_buffer[4096];
	struct text folder = text_over(folder_buffer, sizeof(folder_buffer));

	log_folder_path(&folder);
	control_put_string(answer, "version", TL_VERSION);
	control_put_number(answer, "pid", (double)identity->pid, 0);
	control_put_string(answer, "program", identity->program);
	control_put_string(answer, "python_version", identity->python_version);
	control_put_string(answer, "job_name", config.job_name);
	control_put_number(answer, "start", identity->process_start, 3);
	control_put_string(answer, "state", control_state());
	control_put_number(answer, "begins_in_seconds", control_begins_in_s(), 1);
	control_put_number(answer, "elapsed_seconds", recorder_elapsed_s(), 3);
	control_put_number(answer, "dumps", (double)identity->dump, 0);
	control_put_baseline(answer);
	control_put_string(answer, "log_dir", text_terminate(&folder));
	control_put_settings(answer);
	control_put_number(answer, "live_capacity", (double)live_blocks_capacity(), 0);
	control_put_number(answer, "lost_samples", (double)(losses.samples + losses.missed_frees),
			   0);
	control_put_number(answer, "thinned", (double)live_blocks_thinned(), 0);
	control_put_number(answer, "rss_bytes", (double)proc_memory_read().rss_bytes, 0);
	control_put_number(answer, "agent_bytes", (double)pages_resident_bytes(), 0);
	control_put_number(answer, "agent_cpu_seconds", identity->agent_cpu_s, 3);
	control_put_number(answer, "sampling_cpu_seconds", governor_spent_s(), 3);
}

static void control_refuse_yet(struct text *answer)
{
	char buffer[64];
	struct text why = text_over(buffer, sizeof(buffer));

	text_put(&why, "profiling has not begun: it does in ");
	text_put_fixed(&why, control_begins_in_s(), 0);
	text_put(&why, " s");
	control_refuse(answer, text_terminate(&why));
}

static void control_snapshot(struct text *answer)
{
	char buffer[4096];
	struct text path = text_over(buffer, sizeof(buffer));

	switch (reports_snapshot(CONTROL_WAIT_MS)) {
	case TL_OK:
		snapshot_file_path(&path, reports_identity()->pid);
		control_put_string(answer, "path", text_terminate(&path));
		break;
	case TL_ERR_UNKNOWN:
		control_refuse(answer, control_is_dumping);
		break;
	case TL_ERR_FULL:
		control_refuse(answer, "no memory for a snapshot");
		break;
	case TL_ERR_REFUSED:
		control_refuse(answer, "the process ends: its last snapshot is written");
		break;
	default:
		log_folder_path(&path);
		text_put(&path, ": the snapshot could not be written there");
		control_refuse(answer, text_terminate(&path));
		break;
	}
}

/* What is not to change is set to what it is. */
static void control_set(const struct control_request *request, struct text *answer)
{
	const bool *has = request->has;
	const double *values = request->values;

	if (has[CONTROL_SAMPLE_RATE] || has[CONTROL_SAMPLE_BYTES]) {
		uint64_t rate = has[CONTROL_SAMPLE_RATE] ? (uint64_t)values[CONTROL_SAMPLE_RATE]
							 : config.sample_rate;
		uint64_t bytes = has[CONTROL_SAMPLE_BYTES] ? (uint64_t)values[CONTROL_SAMPLE_BYTES]
							   : config.sample_bytes;

		if (!sampler_change(rate, bytes)) {
			control_refuse(answer, "sampling was changed too often: restart the "
					       "program to change it again");
			return;
		}
		config.sample_rate = rate;
		config.sample_bytes = bytes;
	}
	if (has[CONTROL_MAX_OVERHEAD])
		config.max_overhead = values[CONTROL_MAX_OVERHEAD];
	governor_start(config.max_overhead);
	if (has[CONTROL_DUMP_INTERVAL])
		config.dump_interval_s = (uint64_t)values[CONTROL_DUMP_INTERVAL];
	control_put_settings(answer);
}

static void control_do(const struct control_request *request, struct text *answer)
{
	switch (request->verb) {
	case CONTROL_STATUS:
		control_status(answer);
		break;
	case CONTROL_SNAPSHOT:
		if (recorder_has_begun())
			control_snapshot(answer);
		else
			control_refuse_yet(answer);
		break;
	case CONTROL_PAUSE:
		recorder_pause();
		break;
	case CONTROL_RESUME:
		recorder_resume();
		break;
	case CONTROL_BASELINE:
		if (!recorder_has_begun())
			control_refuse_yet(answer);
		else if (reports_baseline(CONTROL_WAIT_MS))
			control_put_baseline(answer);
		else
			control_refuse(answer, control_is_dumping);
		break;
	case CONTROL_SET:
		control_set(request, answer);
		break;
	}
}

TL_INTERNAL bool control_serve(void)
{
	char buffer[CONTROL_ANSWER], why_buffer[512];
	struct text answer = text_over(buffer, sizeof(buffer));
	struct text why = text_over(why_buffer, sizeof(why_buffer));
	struct control_request request;
	size_t peer;
	char *line = control_socket_take(&peer);

	if (line == NULL)
		return false;
	text_put(&answer, "{\"ok\":true");
	if (control_request_read(line, &request, &why) == TL_OK)
		control_do(&request, &answer);
	else
		control_refuse(&answer, text_terminate(&why));
	text_put(&answer, "}\n");
	control_socket_answer(peer, answer.data, answer.length);
	return true;
}
