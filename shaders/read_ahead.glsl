// Reading ahead, in the variants for CPU devices (-DCPU) of kernels that stream through memory.
//
// lavapipe makes gathers of loads that differ from lane to lane. The processor's prefetcher does
// not follow gathers, and each that misses the cache stalls those behind it. There is no gather of
// 16 bits: such a load is a plain one for each lane. So an invocation reads 16 bits of every cache
// line that the workgroup is about to gather from, many lines at once. The rows then come from the
// cache: two to three times as fast where they did not stand there before.
#ifndef TRDPO_READ_AHEAD_GLSL
#define TRDPO_READ_AHEAD_GLSL

#ifdef CPU
#extension GL_EXT_shader_16bit_storage : require
BUFFER_TYPE(u16x2, u16vec2, 4);

const uint LINE_WORDS = 16u; // 64 bytes
uint read_ahead_bits = 0u;

// Words [first, first + count) of the array at `address`.
void read_ahead(uvec2 address, uint first, uint count)
{
    u16x2 halves = u16x2(address);
    for (uint i = local_index * LINE_WORDS; i < count; i += local_size * LINE_WORDS)
        read_ahead_bits |= uint(halves.v[first + i].x);
}
#define READ_AHEAD(array, first, count) read_ahead(uvec2(array), first, count)

// RMSNORM_COLS_PER_GROUP words of each of `rows` rows, `stride` words apart.
void read_ahead_rows(uvec2 address, uint first, uint rows, uint stride)
{
    const uint lines = RMSNORM_COLS_PER_GROUP / LINE_WORDS;
    u16x2 halves = u16x2(address);
    for (uint i = local_index; i < rows * lines; i += local_size)
        read_ahead_bits |= uint(halves.v[first + i / lines * stride + i % lines * LINE_WORDS].x);
}
#define READ_AHEAD_ROWS(array, first, rows, stride)                                                \
    read_ahead_rows(uvec2(array), first, rows, stride)

// Ends a kernel: makes what was read count in a case that never comes to pass (`never`: a condition
// that the compiler cannot know to be false), else it would leave the loads out. `array`: any that
// the kernel may write.
#define END_READ_AHEAD(never, array)                                                               \
    if (never) u32(uvec2(array)).v[0] = read_ahead_bits
#else
#define READ_AHEAD(array, first, count)
#define READ_AHEAD_ROWS(array, first, rows, stride)
#define END_READ_AHEAD(never, array)
#endif

#endif
