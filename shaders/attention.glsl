// What all attention kernels share: ranges of slots, and scores in base 2.
//
// A range pair is uvec4(a, b, c, d): the slots in [a, b) and in [c, d), where b < c if both hold any.
#ifndef TRDPO_ATTENTION_GLSL
#define TRDPO_ATTENTION_GLSL

const float LOG2_E = 1.4426950408889634;
const float LN_2 = 0.6931471805599453;

const uint NO_SLOT = 0xffffffffu;

// Ranges that touch are made one, so that a chosen completion and its prompt are a single run.
uvec4 range_pair(token_span s)
{
    bool prefix = s.prefix_begin < s.prefix_end, own = s.own_begin < s.own_end;
    if (prefix && own && s.own_begin <= s.prefix_end && s.prefix_begin <= s.own_end)
        return uvec4(min(s.prefix_begin, s.own_begin), max(s.prefix_end, s.own_end), 0, 0);
    if (prefix && own && s.own_begin < s.prefix_begin)
        return uvec4(s.own_begin, s.own_end, s.prefix_begin, s.prefix_end);
    return uvec4(s.prefix_begin, s.prefix_end, s.own_begin, s.own_end);
}

bool in_ranges(uvec4 r, uint slot)
{
    return (slot >= r.x && slot < r.y) || (slot >= r.z && slot < r.w);
}

// First slot of the ranges that is not before `from`, or NO_SLOT.
uint next_slot(uvec4 r, uint from)
{
    uint slot = max(from, r.x);
    if (slot < r.y)
        return slot;
    slot = max(from, r.z);
    return slot < r.w ? slot : NO_SLOT;
}

// End of what the ranges hold before the slot `before`, or 0.
uint last_end(uvec4 r, uint before)
{
    uint end = r.z < min(r.w, before) ? min(r.w, before) : 0u;
    return r.x < min(r.y, before) ? max(end, min(r.y, before)) : end;
}

// Begin of the range that holds the slot, or NO_SLOT.
uint run_begin(uvec4 r, uint slot)
{
    if (slot >= r.x && slot < r.y)
        return r.x;
    return slot >= r.z && slot < r.w ? r.z : NO_SLOT;
}

// End of the range that holds the slot, or 0.
uint run_end(uvec4 r, uint slot)
{
    if (slot >= r.x && slot < r.y)
        return r.y;
    return slot >= r.z && slot < r.w ? r.w : 0u;
}

#endif
