#include "profile.h"

#include <math.h>
#include <string.h>

struct profile_blame profile_blame(const struct profile *profile, const struct profile_stack *stack)
{
	const struct profile_frame *frame = &profile->frames[stack->frame];
	struct profile_blame blame;

	while (frame != profile->frames && frame->module != PROFILE_NO_MODULE &&
	       frame->function == PROFILE_NO_FUNCTION)
		frame = &profile->frames[frame->parent];
	blame = (struct profile_blame){
		.name = frame->name, .file = frame->file, .line = frame->line};
	if (frame->function != PROFILE_NO_FUNCTION) {
		blame.function = &profile->functions[frame->function];
		blame.name = blame.function->name;
		blame.file = blame.function->file;
		if (frame->module != PROFILE_NO_MODULE) /* native rows have no lines */
			blame.line = 0;
	}
	return blame;
}

struct estimate profile_add(struct estimate a, struct estimate b)
{
	return (struct estimate){a.value + b.value, hypot(a.se, b.se)};
}

/* Retention is a share of what was sampled, and weights are not written: bytes stand for them. */
static double profile_mixed_retention(const struct figures *a, const struct figures *b)
{
	if (isnan(a->retention))
		return b->retention;
	if (isnan(b->retention) || a->total_bytes.value + b->total_bytes.value <= 0)
		return a->retention;
	return (a->retention * a->total_bytes.value + b->retention * b->total_bytes.value) /
	       (a->total_bytes.value + b->total_bytes.value);
}

void profile_add_figures(struct figures *sum, const struct figures *figures)
{
	sum->retention = profile_mixed_retention(sum, figures);
	sum->counted += figures->counted;
	sum->counted_bytes += figures->counted_bytes;
	sum->count = profile_add(sum->count, figures->count);
	sum->total_bytes = profile_add(sum->total_bytes, figures->total_bytes);
	sum->largest = fmax(sum->largest, figures->largest);
	sum->sample_count += figures->sample_count;
	sum->sample_bytes += figures->sample_bytes;
	sum->freed_samples += figures->freed_samples;
	sum->freed_sample_bytes += figures->freed_sample_bytes;
	sum->live_bytes = profile_add(sum->live_bytes, figures->live_bytes);
	sum->live_count = profile_add(sum->live_count, figures->live_count);
}

unsigned profile_verdict_rank(const char *verdict)
{
	static const char *const order[] = {"churn",   "startup", "unclear",
					    "plateau", "growing", "leaking"};

	for (unsigned rank = 0; rank < sizeof(order) / sizeof(order[0]); rank++) {
		if (strcmp(order[rank], verdict) == 0)
			return rank;
	}
	return 0;
}

const char *profile_worst(const struct profile *profile, const struct profile_function **whose)
{
	const char *worst = "unclear";

	*whose = NULL;
	for (size_t i = 0; i < profile->function_count; i++) {
		const struct profile_function *function = &profile->functions[i];

		if (profile_verdict_rank(function->verdict) > profile_verdict_rank(worst)) {
			worst = function->verdict;
			*whose = function;
		}
	}
	return worst;
}

double profile_sum(double a, double b)
{
	return isnan(a) ? b : isnan(b) ? a : a + b;
}

double profile_growth(const struct profile *profile)
{
	double sum = NAN;

	for (size_t i = 0; i < profile->function_count; i++)
		sum = profile_sum(sum, profile->functions[i].growth);
	return sum;
}
