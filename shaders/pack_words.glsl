// Two words as a 64-bit one, the first in the lower half: packUint2x32(), by arithmetic. Mesa 26's
// CPU device writes past an array of its own when it compiles a packing of 16 lanes or more.
#ifndef TRDPO_PACK_WORDS_GLSL
#define TRDPO_PACK_WORDS_GLSL

#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require

uint64_t pack_words(uvec2 words)
{
    return uint64_t(words.x) + (uint64_t(words.y) << 32);
}

#endif
