/* math: the three functions of libm that the agent needs; it links libc only. */
#ifndef TL_BASE_MATH_H
#define TL_BASE_MATH_H

#include "types.h"

/* Natural logarithm of a positive normal number; relative error below 1e-14. */
TL_INTERNAL double math_log(double x);
/* 1 - exp(-x) for x >= 0; relative error below 1e-12. */
TL_INTERNAL double math_one_minus_exp(double x);
/* Square root; 0 for what is not positive. Relative error below 1e-15. */
TL_INTERNAL double math_sqrt(double x);

#endif
