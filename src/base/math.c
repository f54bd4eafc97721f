#include "math.h"

#include <string.h>

#define MATH_LN2 0.69314718055994530942

TL_INTERNAL double math_log(double x)
{
	uint64_t bits;

	memcpy(&bits, &x, sizeof(bits));

	int64_t exponent = (int64_t)(bits >> 52) - 1023;

	bits = (bits & 0x000fffffffffffffu) | 0x3ff0000000000000u;
	memcpy(&x, &bits, sizeof(x)); /* 1 <= x < 2 */
	if (x > 1.41421356237309504880) {
		x /= 2;
		exponent++;
	}

	/* log x = 2 artanh z, |z| <= 0.1716: the series loses less than 1e-17 after z^21. */
	double z = (x - 1) / (x + 1), square = z * z, sum = 0;

	for (int power = 21; power >= 1; power -= 2)
		sum = sum * square + 1.0 / power;
	return 2 * z * sum + (double)exponent * MATH_LN2;
}

TL_INTERNAL double math_one_minus_exp(double x)
{
	if (x > 50)
		return 1;

	/* Near zero the subtraction from 1 would lose digits: halve until the Taylor series of 1 -
	 * exp(-x) is exact enough, then use 1 - exp(-2y) = d (2 - d) with d = 1 - exp(-y). */
	int halvings = 0;

	while (x > 0.25) {
		x /= 2;
		halvings++;
	}

	double term = x, result = x;

	for (int n = 2; n <= 12; n++) {
		term *= -x / n;
		result += term;
	}
	while (halvings-- > 0)
		result *= 2 - result;
	return result;
}

TL_INTERNAL double math_sqrt(double x)
{
	uint64_t bits;
	double root;

	if (!(x > 0))
		return 0;
	/* Halving the exponent is right within 6 %; each step of Newton's doubles the digits. */
	memcpy(&bits, &x, sizeof(bits));
	bits = (bits >> 1) + (UINT64_C(1023) << 51);
	memcpy(&root, &bits, sizeof(root));
	for (int step = 0; step < 5; step++)
		root = (root + x / root) / 2;
	return root;
}
