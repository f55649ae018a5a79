// The CPU reference of every operation: plain loops, no blocking, nothing clever.
//
// One source (ref_decl.inc, ref_*.inc) is compiled for float and for double: names end in _f32 and
// _f64. Finite differences prove the backward functions of the double version, which then judges
// the kernels. Fields are named and shaped as in the struct of the operation (linear.h,
// attention.h, ...), with pointers where those have addresses and `rows` the rows in use. A pointer
// that may be 0 there may be NULL here. The functions assign or accumulate as the operations do.
#ifndef TRDPO_OPS_REF_H
#define TRDPO_OPS_REF_H

#include "args.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REF_PASTE2(name, suffix) name##_##suffix
#define REF_PASTE(name, suffix) REF_PASTE2(name, suffix)
#define REF(name) REF_PASTE(name, REF_SUFFIX)

#define REAL float
#define REF_SUFFIX f32
#include "ops/ref_decl.inc"
#undef REAL
#undef REF_SUFFIX

#define REAL double
#define REF_SUFFIX f64
#include "ops/ref_decl.inc"
#undef REAL
#undef REF_SUFFIX

#endif
