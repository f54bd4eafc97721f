#include "report_head.h"

#include "../base/show.h"

#include <string.h>

static void report_head_trust(FILE *out, const struct profile *profile)
{
	char size[SHOW_WORD], count[SHOW_WORD];

	fprintf(out, "sampled: 1 in %.0f from %.0f bytes, and every %s; %s live samples",
		profile->sample_rate, profile->min_size, show_size(size, profile->sample_bytes),
		show_count(count, profile->live_samples));
	if (profile->lost_samples > 0)
		fprintf(out, "; %s LOST for want of room: figures are too small",
			show_count(count, profile->lost_samples));
	if (profile->thinned > 0)
		fprintf(out, "; thinned %.0f times", profile->thinned);
	if (profile->other_functions > 0)
		fprintf(out, "; %s functions in <other functions>",
			show_count(count, profile->other_functions));
	fputc('\n', out);
}

void report_head(FILE *out, const struct profile *profile, const struct profile *worst)
{
	char a[SHOW_WORD], b[SHOW_WORD], c[SHOW_WORD];
	const struct profile_function *whose;
	const char *verdict = profile_worst(profile, &whose);

	show_plain(out, profile->title);
	if (profile->processes == 1)
		fprintf(out, ", pid %.0f", profile->pid);
	else
		fprintf(out, ", %zu processes", profile->processes);
	if (profile->ended > 0)
		fprintf(out, " (%zu more have ended)", profile->ended);
	if (profile->python_version[0] != '\0')
		fprintf(out, ", Python %.*s", (int)strcspn(profile->python_version, " \t\n\033"),
			profile->python_version);
	fputs(" on ", out);
	show_plain(out, profile->hostname);
	if (strcmp(profile->job_name, "unknown") != 0) {
		fputs(", job ", out);
		show_plain(out, profile->job_name);
	}
	fprintf(out, "\n%s, %s after %s of profiling\n", show_time(a, profile->time),
		profile->is_final ? "at the end," : "still running,",
		show_duration(b, profile->elapsed_s));
	fprintf(out, "RSS %s (peak %s)", show_size(a, profile->rss_bytes),
		show_size(b, profile->peak_rss_bytes));
	fprintf(out, ", live %s ± %s", show_size(a, profile->live_bytes.value),
		show_size(b, 1.96 * profile->live_bytes.se));
	fprintf(out, " in %s blocks (peak %s)\n", show_count(a, profile->live_count.value),
		show_size(c, profile->peak_live_bytes));
	report_head_trust(out, profile);
	if (whose != NULL) {
		fprintf(out, "worst verdict: %s, ", verdict);
		show_plain(out, whose->name);
		fputc('\n', out);
	}
	if (worst != NULL && profile->processes > 1)
		fprintf(out, "worst process: pid %.0f, RSS %s, live %s\n", worst->pid,
			show_size(a, worst->rss_bytes), show_size(b, worst->live_bytes.value));
	fputc('\n', out);
}

void report_pools(FILE *out, const struct profile *profile)
{
	char size[SHOW_WORD], count[SHOW_WORD];

	if (profile->pool_count > 0)
		fputs("\nOf these, from CPython's free lists, below all that is certain:\n", out);
	for (size_t i = 0; i < profile->pool_count; i++) {
		const struct profile_pool *pool = &profile->pools[i];
		size_t length = strlen(pool->type);

		fprintf(out, "%11s in %s ", show_size(size, pool->bytes),
			show_count(count, pool->count));
		show_plain(out, pool->type);
		if (length == 0 || pool->type[length - 1] != 's') /* dict keys */
			fputc('s', out);
		fputs(", maker unknown on this Python", out);
		if (pool->verdict[0] != '\0')
			fprintf(out, "  %s: ", pool->verdict);
		show_plain(out, pool->sentence);
		fputc('\n', out);
	}
}
