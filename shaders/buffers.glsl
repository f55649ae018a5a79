// Buffer reference types: what ADDRESS(type) names in args.h. `v` is the array that stands there.
// The alignment is a promise to the compiler: an f32x4 address is a multiple of 16.
#ifndef TRDPO_BUFFERS_GLSL
#define TRDPO_BUFFERS_GLSL

#define BUFFER_TYPE(name, element, align)                                                          \
    layout(buffer_reference, scalar, buffer_reference_align = align) buffer name                   \
    {                                                                                              \
        element v[];                                                                               \
    }

BUFFER_TYPE(f32, float, 4);
BUFFER_TYPE(f32x2, vec2, 8);
BUFFER_TYPE(f32x4, vec4, 16);
BUFFER_TYPE(u32, uint, 4);
BUFFER_TYPE(u32x2, uvec2, 8);
BUFFER_TYPE(u32x4, uvec4, 16);

// Span tables of arenas: element i of the arena is f32(table.v[i >> shift]).v[i & mask]. The span
// must be the same for all lanes (pack_words.glsl says why). Addresses stand there as pairs of
// words: for an array of references, glslang asks for a capability that is not needed.
BUFFER_TYPE(span_table, uvec2, 8);

// Arrays of the structs of args.h and args_step.h.
BUFFER_TYPE(pack_counts_ref, pack_counts, 4);
BUFFER_TYPE(token_span_ref, token_span, 4);
BUFFER_TYPE(step_values_ref, step_values, 4);
BUFFER_TYPE(step_results_ref, step_results, 4);
BUFFER_TYPE(pref_settings_ref, pref_settings, 4);
BUFFER_TYPE(pair_sums_ref, pair_sums, 4);
BUFFER_TYPE(pair_metrics_ref, pair_metrics, 4);
BUFFER_TYPE(unpaired_metrics_ref, unpaired_metrics, 4);
BUFFER_TYPE(sequence_metrics_ref, sequence_metrics, 4);

#endif
