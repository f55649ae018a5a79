// Included first by every kernel, right after #version 460: extensions, argument structs, the
// workgroup's size, index and reductions.
//
//   #version 460
//   #include "common.glsl"
//   ARGS(fill_args);            // push constants, read as args.count
//   void main() { ... }
//
// Specialization constant 0 is the workgroup size (vk_launch.local); a kernel's own options are
// constants 1, 2, ... (vk_launch.spec[0], spec[1], ...).
#ifndef TRDPO_COMMON_GLSL
#define TRDPO_COMMON_GLSL

#extension GL_EXT_buffer_reference : require
#extension GL_EXT_buffer_reference_uvec2 : require
#extension GL_EXT_scalar_block_layout : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_arithmetic : require

#include "args.h"

layout(local_size_x_id = 0) in;

#define ARGS(type)                                                                                 \
    layout(push_constant, scalar) uniform args_block                                               \
    {                                                                                              \
        type args;                                                                                 \
    }

#define local_index gl_LocalInvocationID.x
#define local_size gl_WorkGroupSize.x

// Index of this workgroup in a grid made by groups() or groups_of(), which fold a long grid into
// two dimensions. It may reach beyond the number asked for: compare it with the bound.
uint group_index()
{
    return gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
}

// False for address 0, which stands for an optional array that is not there.
#define given(address) (uvec2(address) != uvec2(0))

// The word at an address, or `otherwise` where it is not given. Then the load is made from `valid`,
// any address that can be read: Mesa 26's CPU device makes a load from an address that all lanes
// share even where the condition holds for none of them, and must not read at 0.
uint word_or(u32 address, uvec2 valid, uint otherwise)
{
    uint word = u32(given(address) ? uvec2(address) : valid).v[0];
    return given(address) ? word : otherwise;
}

// Rows in use: what stands at `live`, at most `rows`; all of them where `live` is not given.
// `valid` as in word_or().
uint live_rows(u32 live, uvec2 valid, uint rows)
{
    return min(word_or(live, valid, rows), rows);
}

// The same of the part of the rows that begins with row `from`.
uint live_rows_from(u32 live, uvec2 valid, uint from, uint rows)
{
    uint word = word_or(live, valid, 0xffffffffu);
    return min(word > from ? word - from : 0u, rows);
}

// Workgroup reductions: the same result in every invocation, by a fixed order (the subgroup's own,
// then subgroups by number), for workgroups of one subgroup or of whole subgroups of any size. To
// be called in uniform control flow. They hold two barriers, so shared memory written before is
// visible after.
#define REDUCE_SLOTS 256 // 1024 invocations in subgroups of 4
shared uvec4 reduce_slots[REDUCE_SLOTS];

#define REDUCTION(name, type, subgroup_op, put, get, combine)                                      \
    type name(type value)                                                                          \
    {                                                                                              \
        type total = subgroup_op(value);                                                           \
        if (gl_NumSubgroups > 1u) {                                                                \
            if (subgroupElect()) reduce_slots[gl_SubgroupID] = put(total);                         \
            barrier();                                                                             \
            total = get(reduce_slots[0]);                                                          \
            for (uint i = 1u; i < gl_NumSubgroups; i++) {                                          \
                type other = get(reduce_slots[i]);                                                 \
                total = combine(total, other);                                                     \
            }                                                                                      \
            barrier();                                                                             \
        }                                                                                          \
        return total;                                                                              \
    }

#define REDUCE_ADD(a, b) ((a) + (b))
#define PUT_FLOAT(x) uvec4(floatBitsToUint(x), 0, 0, 0)
#define GET_FLOAT(v) uintBitsToFloat((v).x)
#define PUT_VEC2(x) uvec4(floatBitsToUint(x), 0, 0)
#define GET_VEC2(v) uintBitsToFloat((v).xy)
#define PUT_VEC4(x) floatBitsToUint(x)
#define GET_VEC4(v) uintBitsToFloat(v)
#define PUT_UINT(x) uvec4(x, 0, 0, 0)
#define GET_UINT(v) (v).x

REDUCTION(workgroup_sum, float, subgroupAdd, PUT_FLOAT, GET_FLOAT, REDUCE_ADD)
REDUCTION(workgroup_sum, vec2, subgroupAdd, PUT_VEC2, GET_VEC2, REDUCE_ADD)
REDUCTION(workgroup_sum, vec4, subgroupAdd, PUT_VEC4, GET_VEC4, REDUCE_ADD)
REDUCTION(workgroup_sum, uint, subgroupAdd, PUT_UINT, GET_UINT, REDUCE_ADD)
REDUCTION(workgroup_max, float, subgroupMax, PUT_FLOAT, GET_FLOAT, max)
REDUCTION(workgroup_min, uint, subgroupMin, PUT_UINT, GET_UINT, min)

// Overflow tests look at exponent bits, since a compiler may assume that there is no NaN.
bool is_nonfinite(float x)
{
    return (floatBitsToUint(x) & 0x7f800000u) == 0x7f800000u;
}

// Stands for minus infinity in masks.
const float MASKED = -1e30;

#endif
