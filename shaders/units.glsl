// What matrix units take for factors: fp16, or bf16 with -DUNITS_BF16, to which a conversion from fp32
// rounds. Sums are fp32 either way.
#ifndef TRDPO_UNITS_GLSL
#define TRDPO_UNITS_GLSL

#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require

#ifdef UNITS_BF16
#extension GL_EXT_bfloat16 : require
#define UNIT_FLOAT bfloat16_t
#define UNIT_VEC2 bf16vec2
#define UNIT_VEC4 bf16vec4
#else
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#define UNIT_FLOAT float16_t
#define UNIT_VEC2 f16vec2
#define UNIT_VEC4 f16vec4
#endif

#endif
