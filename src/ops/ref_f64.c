// The CPU reference in double.
#include "ops/ref.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

#define REAL double
#define REF_SUFFIX f64
#define REF_SQRT sqrt
#define REF_EXP exp
#define REF_LOG log
#define REF_LOG1P log1p
#define REF_EXPM1 expm1
#define REF_EMPTY (-1e30) // log-sum-exp of nothing
#include "ops/ref_all.inc"
