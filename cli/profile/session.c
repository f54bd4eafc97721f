#include "session.h"

#include "../base/fail.h"
#include "../base/keep.h"
#include "profile_read.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SESSION_FORMAT  "trackleak-session"
#define SESSION_NAME    "session.json"
#define SESSION_LIMIT   ((size_t)64 << 20)
#define SESSION_SAMPLES 4096 /* at most, by dropping every other one */
/* Below this a slope is a guess. */
#define SESSION_GROWTH_SAMPLES 20
#define SESSION_MIB            1048576.0

void session_add(struct session *session, double time_s, double rss_bytes)
{
	if (session->sample_count == SESSION_SAMPLES) {
		session->sample_count /= 2;
		for (size_t i = 0; i < session->sample_count; i++)
			session->samples[i] = session->samples[i * 2];
	}
	session->samples = keep_grow(session->samples, session->sample_count, &session->sample_room,
				     sizeof(*session->samples));
	session->samples[session->sample_count++] = (struct session_sample){time_s, rss_bytes};
}

/* A program's start is no leak. */
static size_t session_settled(const struct session *session)
{
	size_t at = 0;
	double end =
		session->sample_count > 0 ? session->samples[session->sample_count - 1].time_s : 0;

	while (at + 1 < session->sample_count && session->samples[at].time_s < end / 10)
		at++;
	return at;
}

double session_growth(const struct session *session)
{
	size_t first = session_settled(session), count = session->sample_count - first;
	double mean_time = 0, mean_rss = 0, above = 0, below = 0;

	if (count < SESSION_GROWTH_SAMPLES)
		return NAN;
	for (size_t i = first; i < session->sample_count; i++) {
		mean_time += session->samples[i].time_s / (double)count;
		mean_rss += session->samples[i].rss_bytes / (double)count;
	}
	for (size_t i = first; i < session->sample_count; i++) {
		double away = session->samples[i].time_s - mean_time;

		above += away * (session->samples[i].rss_bytes - mean_rss);
		below += away * away;
	}
	return below > 0 ? above / below * 3600 / SESSION_MIB : NAN;
}

double session_rss_grown(const struct session *session)
{
	size_t first = session_settled(session);
	double grown = 0;

	/* The last sample may be of a program that is being taken down. */
	for (size_t i = first; i < session->sample_count; i++)
		grown = fmax(grown,
			     session->samples[i].rss_bytes - session->samples[first].rss_bytes);
	return grown;
}

bool session_write(const struct session *session, const char *folder)
{
	char *path = keep_text("%s/" SESSION_NAME, folder);
	char *temporary = keep_text("%s.tmp", path);
	json_t *samples = json_array(), *root;
	bool is_written;

	for (size_t i = 0; i < session->sample_count; i++)
		json_array_append_new(samples, json_pack("[f, f]", session->samples[i].time_s,
							 session->samples[i].rss_bytes));
	/* `+`: a command line need not be UTF-8, so it was made plain before. */
	root = json_pack("{s:s, s:i, s:s, s:f, s:i, s:f, s:f, s:o}", "format", SESSION_FORMAT,
			 "version", 1, "command", session->command, "start", session->start,
			 "status", session->status, "rss_threshold_bytes",
			 session->rss_threshold_bytes, "heap_threshold_bytes",
			 session->heap_threshold_bytes, "rss", samples);
	is_written = root != NULL &&
		     json_dump_file(root, temporary, JSON_COMPACT | JSON_REAL_PRECISION(15)) == 0 &&
		     rename(temporary, path) == 0;
	json_decref(root);
	return is_written;
}

struct session *session_read(const char *folder)
{
	struct session *session = keep_alloc(1, sizeof(*session));
	char *path = keep_text("%s/" SESSION_NAME, folder), why[PROFILE_READ_WHY], *text;
	const char *format = "", *command = "";
	json_t *root, *samples = NULL, *sample;
	size_t length, index;

	if (access(path, F_OK) != 0)
		return NULL;
	text = profile_read_file(path, SESSION_LIMIT, &length, why);
	if (text == NULL)
		fail("%s: %s", path, why);
	root = json_loadb(text, length, 0, NULL);
	if (root == NULL ||
	    json_unpack(root, "{s:s, s:s, s:F, s:i, s:F, s:F, s:o}", "format", &format, "command",
			&command, "start", &session->start, "status", &session->status,
			"rss_threshold_bytes", &session->rss_threshold_bytes,
			"heap_threshold_bytes", &session->heap_threshold_bytes, "rss",
			&samples) != 0 ||
	    strcmp(format, SESSION_FORMAT) != 0)
		fail("%s: not a session of TrackLeak, or cut short", path);
	session->command = keep_copy(command);
	json_array_foreach(samples, index, sample)
	{
		double time_s, rss;

		if (json_unpack(sample, "[F, F]", &time_s, &rss) != 0)
			fail("%s: its `rss` is not an array of pairs", path);
		session_add(session, time_s, rss);
	}
	return session;
}
