// The CPU reference in float.
#include "ops/ref.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

#define REAL float
#define REF_SUFFIX f32
#define REF_SQRT sqrtf
#define REF_EXP expf
#define REF_LOG logf
#define REF_LOG1P log1pf
#define REF_EXPM1 expm1f
#define REF_EMPTY (-1e30f) // log-sum-exp of nothing
#include "ops/ref_all.inc"
