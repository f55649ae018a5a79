// Attention without shared memory: every lane owns OWN rows (queries, or keys in the pass by key)
// and keeps them whole; all lanes walk over the other side's rows together, SHARED at a time.
//
// The elements of a shared row lie two to a lane, over CHUNK lanes, and are handed to all lanes by
// broadcasts: one load serves 2 * CHUNK broadcasts, and each of those OWN operations on a full
// register. CPU devices want it that way: a load inside a loop costs them as much as twenty
// operations, however it falls, and a broadcast as much as one.
#ifndef TRDPO_ATTENTION_DIRECT_GLSL
#define TRDPO_ATTENTION_DIRECT_GLSL

#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#extension GL_KHR_shader_subgroup_ballot : require

#include "attention.glsl"
#include "pack_words.glsl"

layout(constant_id = 1) const uint D = 64;    // head size
layout(constant_id = 2) const uint CHUNK = 8; // a power of two, at most the subgroup size
layout(constant_id = 3) const uint OWN = 2;
layout(constant_id = 4) const uint SHARED = 4;

const uint CHUNKS = (D / 2 + CHUNK - 1) / CHUNK; // of pairs of elements
const uint OWN_FLOATS = OWN * D, SHARED_FLOATS = SHARED * CHUNKS * 2, PAIRS = OWN * SHARED;

// Two neighbouring floats: a load of 64 bits a lane costs no more than one of 32.
BUFFER_TYPE(u64, uint64_t, 8);
vec2 load_pair(f32 base, uint at) { return uintBitsToFloat(unpack32(u64(base).v[at / 2])); }
void store_pair(f32 base, uint at, vec2 x)
{
    u64(base).v[at / 2] = pack_words(floatBitsToUint(x));
}

// The arrays' indices below must be constants when loops are unrolled: in memory, they would be
// loaded lane by lane.

void load_own(out float own[OWN_FLOATS], f32 base, uint at[OWN], float factor)
{
    [[unroll]] for (uint r = 0; r < OWN; r++)
        [[unroll]] for (uint d = 0; d < D; d += 2) {
            vec2 x = load_pair(base, at[r] + d);
            own[r * D + d] = x.x * factor;
            own[r * D + d + 1] = x.y * factor;
        }
}

void load_shared(out float x[SHARED_FLOATS], f32 base, uint at[SHARED])
{
    uint lane = gl_SubgroupInvocationID % CHUNK;
    [[unroll]] for (uint j = 0; j < SHARED; j++)
        [[unroll]] for (uint c = 0; c < CHUNKS; c++) {
            vec2 pair = load_pair(base, at[j] + min(2 * (c * CHUNK + lane), D - 2));
            x[(j * CHUNKS + c) * 2] = pair.x;
            x[(j * CHUNKS + c) * 2 + 1] = pair.y;
        }
}

// dot[r, j] = sum over d of own[r, d] x[j, d], a chunk's sum first
void dot_shared(out float dot[PAIRS], float own[OWN_FLOATS], float x[SHARED_FLOATS])
{
    [[unroll]] for (uint i = 0; i < PAIRS; i++)
        dot[i] = 0;
    [[unroll]] for (uint c = 0; c < CHUNKS; c++) {
        float part[PAIRS];
        [[unroll]] for (uint i = 0; i < PAIRS; i++)
            part[i] = 0;
        [[unroll]] for (uint e = 0; e < 2 * CHUNK; e++)
            if (c * CHUNK * 2 + e < D) {
                [[unroll]] for (uint j = 0; j < SHARED; j++) {
                    float y = subgroupBroadcast(x[(j * CHUNKS + c) * 2 + e % 2], e / 2);
                    [[unroll]] for (uint r = 0; r < OWN; r++)
                        part[r * SHARED + j] += own[r * D + c * CHUNK * 2 + e] * y;
                }
            }
        [[unroll]] for (uint i = 0; i < PAIRS; i++)
            dot[i] += part[i];
    }
}

// sum[r, d] += sum over j of weight[r, j] x[j, d], the inner sum first: long sums lose fewer digits.
void add_shared(inout float sum[OWN_FLOATS], float weight[PAIRS], float x[SHARED_FLOATS])
{
    [[unroll]] for (uint c = 0; c < CHUNKS; c++)
        [[unroll]] for (uint e = 0; e < 2 * CHUNK; e++)
            if (c * CHUNK * 2 + e < D) {
                float part[OWN];
                [[unroll]] for (uint j = 0; j < SHARED; j++) {
                    float y = subgroupBroadcast(x[(j * CHUNKS + c) * 2 + e % 2], e / 2);
                    [[unroll]] for (uint r = 0; r < OWN; r++) {
                        float term = weight[r * SHARED + j] * y;
                        part[r] = j > 0 ? part[r] + term : term;
                    }
                }
                [[unroll]] for (uint r = 0; r < OWN; r++)
                    sum[r * D + c * CHUNK * 2 + e] += part[r];
            }
}

// The next run of slots that some row of the subgroup has in its ranges: from the first such slot,
// at or after `from`, to the end that reaches furthest. All slots in it are some row's. False if
// there is none.
bool next_run(uvec4 ranges[OWN], uint from, out uint begin, out uint end)
{
    begin = NO_SLOT;
    end = 0;
    [[unroll]] for (uint r = 0; r < OWN; r++)
        begin = min(begin, next_slot(ranges[r], from));
    begin = subgroupMin(begin);
    if (begin == NO_SLOT) {
        begin = 0; // Mesa 26's CPU device still loads the rows of it, for nobody
        return false;
    }
    [[unroll]] for (uint r = 0; r < OWN; r++)
        end = max(end, run_end(ranges[r], begin));
    end = subgroupMax(end);
    return true;
}

// The same from the end: the last run before the slot `before`. False if there is none.
bool last_run(uvec4 ranges[OWN], uint before, out uint begin, out uint end)
{
    begin = NO_SLOT;
    end = 0;
    [[unroll]] for (uint r = 0; r < OWN; r++)
        end = max(end, last_end(ranges[r], before));
    end = subgroupMax(end);
    if (end == 0) {
        begin = 0; // as above: the kernel's addresses begin with this run's last slot
        end = 1;
        return false;
    }
    [[unroll]] for (uint r = 0; r < OWN; r++)
        begin = min(begin, run_begin(ranges[r], end - 1));
    begin = subgroupMin(begin);
    return true;
}

#endif
