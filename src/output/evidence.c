/* DESIGN
 *     context 1..n | site 0..m     each a subject: when its life began, its middle, and sums over
 *                                  its samples
 * A site that has one context is judged by it; for one with several the sums are made a second time
 * for all of it, because the middle of its life is another. Its history is that of its contexts
 * added up: their epochs are the same.
 */
#include "evidence.h"

#include "../base/clock.h"
#include "../base/pages.h"
#include "../profile/classes.h"
#include "../profile/contexts.h"
#include "../profile/recorder.h"
#include "../profile/sites.h"
#include "snapshot.h"

#include <string.h>

_Static_assert(SURVIVAL_CLASSES == SITES_LIFETIMES, "ages are classed alike");

struct evidence_subject {
	uint32_t begin, middle; /* ticks */
	uint32_t held_samples, born_samples;
	double held, held_variance, held_squares, held_count;
	double born, born_variance, born_squares;
	uint64_t generations; /* a bit for each epoch, the unfinished one included */
};

#define EVIDENCE_TYPES      16384u /* more pairs of site and type are not told apart */
#define EVIDENCE_TYPE_SLOTS (2 * EVIDENCE_TYPES)

struct evidence_type {
	uint32_t site;
	uint16_t type, next; /* a number of classes.h; the site's next; 0: none */
	double bytes, count;
};

struct evidence {
	size_t bytes; /* of the mapping */
	uint32_t now, older;
	uint32_t contexts, sites; /* that existed when it was opened */
	const uint32_t *ticks;
	unsigned epochs;
	struct evidence_subject *subjects;   /* of contexts, then of sites */
	uint32_t *first;                     /* by site: its first context */
	uint32_t *next;                      /* by context: the site's next; 0: none */
	uint32_t (*alive)[SURVIVAL_CLASSES]; /* by site: live samples by age */
	float *uncertain;                    /* by site: bytes nobody knows the maker of */

	struct evidence_type *types; /* survivors by site and type; the first is unused */
	uint32_t types_used;
	uint16_t *type_slots; /* (site, type) --hash, linear probing--> types; 0: none */
	uint16_t *type_of;    /* by site, and behind the last site in total: the first; 0: none */
};

static unsigned evidence_age_class(uint32_t ticks)
{
	unsigned class = ticks == 0 ? 0 : 32u - (unsigned)__builtin_clz(ticks);

	return class < SURVIVAL_CLASSES ? class : SURVIVAL_CLASSES - 1;
}

static double evidence_seconds(uint32_t ticks)
{
	return (double)ticks / CLOCK_TICKS_PER_S;
}

static bool evidence_has_several(const struct evidence *evidence, uint32_t site)
{
	return evidence->first[site] != 0 && evidence->next[evidence->first[site]] != 0;
}

static struct evidence_subject *evidence_of_site(const struct evidence *evidence, uint32_t site)
{
	return evidence_has_several(evidence, site) ? &evidence->subjects[evidence->contexts + site]
						    : &evidence->subjects[evidence->first[site]];
}

/* The epochs since `begin`, and now: the same that verdict_judge will see. */
static unsigned evidence_times(const struct evidence *evidence, uint32_t begin, double *seconds)
{
	unsigned count = 0;

	for (unsigned i = 0; i < evidence->epochs; i++) {
		if (evidence->ticks[i] > begin && evidence->ticks[i] < evidence->now)
			seconds[count++] = evidence_seconds(evidence->ticks[i]);
	}
	seconds[count++] = evidence_seconds(evidence->now);
	return count;
}

static void evidence_set_middle(const struct evidence *evidence, struct evidence_subject *subject)
{
	double seconds[VERDICT_EPOCHS];
	unsigned count = evidence_times(evidence, subject->begin, seconds);
	double middle_s = seconds[verdict_middle(seconds, count, evidence_seconds(subject->begin))];

	subject->middle = (uint32_t)(middle_s * CLOCK_TICKS_PER_S + 0.5);
}

static void evidence_link_contexts(struct evidence *evidence)
{
	for (uint32_t number = 1; number < evidence->contexts; number++) {
		const struct context *context = contexts_at(number);
		uint32_t site = context->site;

		evidence->subjects[number].begin =
			context->has_begun ? context->begin : evidence->now;
		if (site >= evidence->sites) /* a type's, or too new */
			continue;
		evidence->next[number] = evidence->first[site];
		evidence->first[site] = number;
	}
	for (uint32_t site = 0; site < evidence->sites; site++) {
		struct evidence_subject *subject = evidence_of_site(evidence, site);
		uint32_t begin = evidence->now;

		for (uint32_t c = evidence->first[site]; c != 0; c = evidence->next[c]) {
			if (evidence->subjects[c].begin < begin)
				begin = evidence->subjects[c].begin;
		}
		if (evidence->first[site] != 0)
			subject->begin = begin;
	}
	for (uint32_t i = 1; i < evidence->contexts + evidence->sites; i++)
		evidence_set_middle(evidence, &evidence->subjects[i]);
}

TL_INTERNAL struct evidence *evidence_open(uint32_t now)
{
	uint32_t rows = contexts_end(), sites = sites_end();
	size_t head = (sizeof(struct evidence) + 63) & ~(size_t)63;
	size_t subjects = (rows + sites) * sizeof(struct evidence_subject);
	size_t alive = sites * sizeof(uint32_t[SURVIVAL_CLASSES]);
	size_t types = EVIDENCE_TYPES * sizeof(struct evidence_type);
	size_t words = (rows + sites) * sizeof(uint32_t) + sites * sizeof(float);
	size_t bytes = head + subjects + alive + types + words +
		       (EVIDENCE_TYPE_SLOTS + sites + 1) * sizeof(uint16_t);
	struct evidence *evidence = pages_map(bytes);

	if (evidence == NULL)
		return NULL;
	*evidence = (struct evidence){
		.bytes = bytes,
		.now = now,
		.older = contexts_older(),
		.contexts = rows,
		.sites = sites,
		.subjects = (void *)((uintptr_t)evidence + head),
		.types = (void *)((uintptr_t)evidence + head + subjects),
		.types_used = 1,
		.alive = (void *)((uintptr_t)evidence + head + subjects + types),
		.first = (void *)((uintptr_t)evidence + head + subjects + types + alive),
	};
	evidence->next = evidence->first + sites;
	evidence->uncertain = (void *)(evidence->next + rows);
	evidence->type_slots = (void *)(evidence->uncertain + sites);
	evidence->type_of = evidence->type_slots + EVIDENCE_TYPE_SLOTS;
	evidence->epochs = contexts_epochs(&evidence->ticks);
	evidence_link_contexts(evidence);
	return evidence;
}

TL_INTERNAL void evidence_close(struct evidence *evidence)
{
	if (evidence != NULL)
		pages_unmap(evidence, evidence->bytes);
}

/* The epoch at whose end it was first held. */
static unsigned evidence_generation(const struct evidence *evidence, uint32_t held_since)
{
	unsigned low = 0, high = evidence->epochs;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (evidence->ticks[middle] < held_since)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void evidence_add_to(const struct evidence *evidence, struct evidence_subject *subject,
			    const struct evidence_sample *sample)
{
	uint32_t held_since = sample->birth + evidence->older;
	double square = sample->bytes * sample->bytes;

	subject->held_samples++;
	subject->held += sample->bytes;
	subject->held_count += sample->weight;
	subject->held_variance += sample->variance;
	subject->held_squares += square;
	subject->generations |= UINT64_C(1) << evidence_generation(evidence, held_since);
	if (held_since <= subject->middle)
		return;
	subject->born_samples++;
	subject->born += sample->bytes;
	subject->born_variance += sample->variance;
	subject->born_squares += square;
}

/* The row of a site and a type; NULL when there is no room for one more. */
static struct evidence_type *evidence_type_of(struct evidence *evidence, uint32_t site,
					      unsigned type)
{
	uint32_t slot = (site * 0x9e3779b1u ^ type * 0x85ebca6bu) % EVIDENCE_TYPE_SLOTS;
	struct evidence_type *row;

	for (; evidence->type_slots[slot] != 0; slot = (slot + 1) % EVIDENCE_TYPE_SLOTS) {
		row = &evidence->types[evidence->type_slots[slot]];
		if (row->site == site && row->type == type)
			return row;
	}
	if (evidence->types_used == EVIDENCE_TYPES)
		return NULL;
	row = &evidence->types[evidence->types_used];
	*row = (struct evidence_type){
		.site = site, .type = (uint16_t)type, .next = evidence->type_of[site]};
	evidence->type_slots[slot] = evidence->type_of[site] = (uint16_t)evidence->types_used++;
	return row;
}

static void evidence_add_type(struct evidence *evidence, uint32_t site,
			      const struct evidence_sample *sample)
{
	unsigned type = sample->type < PY_TYPE_COUNT ? py_type_shown((enum py_type)sample->type)
						     : sample->type;
	struct evidence_type *row = evidence_type_of(evidence, site, type);

	if (row == NULL)
		return;
	row->bytes += sample->bytes;
	row->count += sample->weight;
}

TL_INTERNAL void evidence_add(struct evidence *evidence, const struct evidence_sample *sample)
{
	if (evidence == NULL || sample->site >= evidence->sites || sample->birth > evidence->now)
		return;
	if (sample->type > PY_TYPE_OTHER) {
		evidence_add_type(evidence, sample->site, sample);
		evidence_add_type(evidence, evidence->sites, sample);
	}
	if (py_type_is_uncertain(sample->type))
		evidence->uncertain[sample->site] += (float)sample->bytes;
	else
		evidence->alive[sample->site][evidence_age_class(evidence->now - sample->birth)]++;
	if (sample->birth + evidence->older > evidence->now ||
	    sample->birth < contexts_baseline() || sample->context == CONTEXTS_NONE ||
	    sample->context >= evidence->contexts)
		return;
	evidence_add_to(evidence, &evidence->subjects[sample->context], sample);
	if (!py_type_is_uncertain(sample->type) && evidence_has_several(evidence, sample->site))
		evidence_add_to(evidence, evidence_of_site(evidence, sample->site), sample);
}

/* What the contexts from `first` on held at the epochs since the subject began, and now. `alone`:
 * only the first of them. */
static void evidence_put_history(const struct evidence *evidence,
				 const struct evidence_subject *subject, uint32_t first, bool alone,
				 struct verdict_evidence *facts)
{
	unsigned count = 0;

	facts->epochs = evidence_times(evidence, subject->begin, facts->seconds);
	for (unsigned i = 0; i < evidence->epochs; i++) {
		if (evidence->ticks[i] <= subject->begin || evidence->ticks[i] >= evidence->now)
			continue;
		for (uint32_t c = first; c != 0; c = alone ? 0 : evidence->next[c])
			facts->bytes[count] += (double)contexts_at(c)->held[i];
		count++;
	}
	facts->bytes[count] = subject->held;
}

static void evidence_put_sums(const struct evidence *evidence,
			      const struct evidence_subject *subject,
			      struct verdict_evidence *facts)
{
	unsigned middle = evidence_generation(evidence, subject->middle);

	facts->begin_s = evidence_seconds(subject->begin);
	facts->middle = verdict_middle(facts->seconds, facts->epochs, facts->begin_s);
	facts->held = subject->held;
	facts->held_variance = subject->held_variance;
	facts->held_squares = subject->held_squares;
	facts->held_samples = subject->held_samples;
	facts->born = subject->born;
	facts->born_variance = subject->born_variance;
	facts->born_squares = subject->born_squares;
	facts->born_samples = subject->born_samples;
	facts->generations = (unsigned)__builtin_popcountll(subject->generations);
	facts->recent_generations =
		(unsigned)__builtin_popcountll(subject->generations >> (middle + 1));
}

static struct survival evidence_survival(const uint32_t *deaths, const uint32_t *alive)
{
	struct survival survival = survival_estimate(deaths, alive);
	double oldest_s = recorder_elapsed_s();

	/* The last class of ages may reach further than there was anything to see. */
	survival.units /= CLOCK_TICKS_PER_S;
	if (survival.units > oldest_s)
		survival.units = oldest_s;
	return survival;
}

static void evidence_put_survival(const struct evidence *evidence, uint32_t site,
				  const uint32_t *deaths, struct verdict_evidence *facts)
{
	uint32_t old_deaths[SURVIVAL_CLASSES], old_alive[SURVIVAL_CLASSES];
	const uint32_t *alive = evidence->alive[site];
	unsigned young = evidence_age_class(evidence->older);

	for (unsigned i = 0; i < SURVIVAL_CLASSES; i++) {
		old_deaths[i] = i > young ? deaths[i] : 0;
		old_alive[i] = i > young ? alive[i] : 0;
		facts->samples_seen += (uint64_t)deaths[i] + alive[i];
	}
	facts->survival = evidence_survival(deaths, alive);
	facts->survival_of_held = evidence_survival(old_deaths, old_alive);
	facts->share_older = survival_after(deaths, alive, young);
}

static struct verdict_evidence evidence_nothing(void)
{
	double nan = (double)__builtin_nanf("");

	return (struct verdict_evidence){
		.share_older = nan,
		.survival = {nan, nan, nan, 0, 0},
		.survival_of_held = {nan, nan, nan, 0, 0},
	};
}

TL_INTERNAL struct verdict evidence_judge_site(const struct evidence *evidence, uint32_t site,
					       const uint32_t *deaths)
{
	struct verdict_evidence facts = evidence_nothing();

	if (evidence != NULL && site < evidence->sites) {
		const struct evidence_subject *subject = evidence_of_site(evidence, site);

		evidence_put_survival(evidence, site, deaths, &facts);
		facts.epochs = 1;
		facts.seconds[0] = facts.begin_s = evidence_seconds(evidence->now);
		if (evidence->first[site] != 0) {
			evidence_put_history(evidence, subject, evidence->first[site], false,
					     &facts);
			evidence_put_sums(evidence, subject, &facts);
		}
	}
	return verdict_judge(&facts);
}

/* The largest ones of a chain of types, descending. Returns how many. */
static size_t evidence_put_largest(const struct evidence *evidence, uint32_t site,
				   struct snapshot_type *types, size_t room)
{
	size_t count = 0;

	for (uint32_t i = evidence->type_of[site]; i != 0; i = evidence->types[i].next) {
		const struct evidence_type *row = &evidence->types[i];
		size_t place = count;

		while (place > 0 && row->bytes > types[place - 1].bytes)
			place--;
		if (place == room)
			continue;
		count += count < room;
		memmove(&types[place + 1], &types[place], (count - 1 - place) * sizeof(*types));
		types[place] =
			(struct snapshot_type){classes_name(row->type), row->bytes, row->count};
	}
	return count;
}

TL_INTERNAL void evidence_put_types(const struct evidence *evidence, uint32_t site,
				    struct snapshot_type *types, double *uncertain_bytes)
{
	if (evidence == NULL || site >= evidence->sites)
		return;
	evidence_put_largest(evidence, site, types, SNAPSHOT_TYPES);
	*uncertain_bytes = (double)evidence->uncertain[site];
}

TL_INTERNAL size_t evidence_put_all_types(const struct evidence *evidence,
					  struct snapshot_type *types, size_t room)
{
	return evidence == NULL ? 0 : evidence_put_largest(evidence, evidence->sites, types, room);
}

TL_INTERNAL double evidence_held_count(const struct evidence *evidence, uint32_t context)
{
	return evidence != NULL && context < evidence->contexts
		       ? evidence->subjects[context].held_count
		       : 0;
}

TL_INTERNAL struct verdict evidence_judge_context(const struct evidence *evidence, uint32_t context)
{
	struct verdict_evidence facts = evidence_nothing();

	if (evidence != NULL && context != CONTEXTS_NONE && context < evidence->contexts) {
		const struct evidence_subject *subject = &evidence->subjects[context];

		evidence_put_history(evidence, subject, context, true, &facts);
		evidence_put_sums(evidence, subject, &facts);
		facts.samples_seen = subject->held_samples;
	}
	return verdict_judge(&facts);
}
