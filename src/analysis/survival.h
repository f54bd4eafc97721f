/* survival: of what is allocated, how much is still alive after so long.
 *
 * Runs      anywhere. Pure arithmetic.
 */
#ifndef TL_ANALYSIS_SURVIVAL_H
#define TL_ANALYSIS_SURVIVAL_H

#include "../base/types.h"

/* Ages are counted in classes of the binary logarithm: class 0 is below one unit, class i is
 * 2^(i-1) to 2^i units. */
#define SURVIVAL_CLASSES 24

struct survival {
	double share, low, high; /* 0 to 1, with its 95 % interval; NaN: nothing is known */
	double units;            /* the age it is for */
	double at_risk;          /* samples that were watched until that age */
};

/* `deaths`: samples that died, by their age; `alive`: those that live, by their age now. At the
 * largest class that at least five samples have reached.
 *
 * Kaplan and Meier 1958 in its form for classes (those who left the watch in a class count half),
 * Greenwood's variance 1926, and from it Wilson's interval, which stays inside 0 to 1 and is right
 * where nobody died. */
TL_INTERNAL struct survival survival_estimate(const uint32_t *deaths, const uint32_t *alive);

/* The share alive at the end of one class; NaN where nobody got so far. */
TL_INTERNAL double survival_after(const uint32_t *deaths, const uint32_t *alive,
				  unsigned age_class);

#endif
