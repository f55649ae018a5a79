// Decoding against the definition of each format (sign, exponent, mantissa through ldexp); encoding
// at every boundary between neighbouring values, where round-to-nearest-even is decided.
#include "support.h"

#include "base/dtype.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct format {
    enum dtype type;
    int mantissa_bits, exponent_bits;
    float (*decode)(uint16_t bits);
    uint16_t (*encode)(float value);
};
static const struct format formats[] = {
    {DTYPE_F16, 10, 5, dtype_from_f16, dtype_to_f16},
    {DTYPE_BF16, 7, 8, dtype_from_bf16, dtype_to_bf16},
};

static uint32_t infinity_bits(const struct format *f)
{
    return ((UINT32_C(1) << f->exponent_bits) - 1) << f->mantissa_bits;
}

// What the bits of a positive value mean, infinity read as the next power of two.
static double meaning(const struct format *f, uint32_t bits)
{
    int bias = (1 << (f->exponent_bits - 1)) - 1;
    int exponent = (int)(bits >> f->mantissa_bits);
    int mantissa = (int)(bits & ((UINT32_C(1) << f->mantissa_bits) - 1));
    if (exponent > 0)
        mantissa += 1 << f->mantissa_bits;
    else
        exponent = 1;
    return ldexp(mantissa, exponent - bias - f->mantissa_bits);
}

static void decode_every_value(void **state)
{
    (void)state;
    for (const struct format *f = formats; f < formats + 2; f++) {
        for (uint32_t bits = 0; bits < 0x8000; bits++) {
            float plus = f->decode((uint16_t)bits), minus = f->decode((uint16_t)(bits | 0x8000));
            if (bits > infinity_bits(f)) {
                assert_true(isnan(plus) && isnan(minus));
                continue;
            }
            double wanted = bits == infinity_bits(f) ? INFINITY : meaning(f, bits);
            assert_true((double)plus == wanted && (double)minus == -wanted);
            assert_true(!signbit(plus) && signbit(minus));
        }
    }
}

static void round_trip_every_value(void **state)
{
    (void)state;
    for (const struct format *f = formats; f < formats + 2; f++) {
        for (uint32_t bits = 0; bits <= 0xFFFF; bits++) {
            uint16_t back = f->encode(f->decode((uint16_t)bits));
            if ((bits & 0x7FFF) > infinity_bits(f)) { // stays NaN, keeps its sign
                assert_true((back & 0x7FFFu) > infinity_bits(f));
                assert_int_equal(back & 0x8000, bits & 0x8000);
            } else {
                assert_int_equal(back, bits);
            }
        }
    }
}

static void round_at_every_boundary(void **state)
{
    (void)state;
    for (const struct format *f = formats; f < formats + 2; f++) {
        for (uint32_t bits = 0; bits < infinity_bits(f); bits++) {
            double middle = (meaning(f, bits) + meaning(f, bits + 1)) / 2;
            float at = (float)middle;
            assert_true((double)at == middle); // both formats leave a float bits to spare
            for (int sign = 0; sign <= 1; sign++) {
                float s = sign ? -1.0f : 1.0f;
                uint32_t mark = sign ? 0x8000 : 0;
                assert_int_equal(f->encode(s * at), mark | (bits + (bits & 1)));
                assert_int_equal(f->encode(s * nextafterf(at, 0)), mark | bits);
                assert_int_equal(f->encode(s * nextafterf(at, INFINITY)), mark | (bits + 1));
            }
        }
        assert_int_equal(f->encode(INFINITY), infinity_bits(f));
        assert_int_equal(f->encode(-INFINITY), 0x8000 | infinity_bits(f));
    }
    assert_int_equal(dtype_to_f16(3.4028235e38f), 0x7C00);
    assert_int_equal(dtype_to_f16(65536.0f), 0x7C00);
    assert_int_equal(dtype_to_f16(1e-40f), 0); // a subnormal float
}

// NaNs whose payload lies wholly in the bits that are dropped.
static void nan_stays_nan(void **state)
{
    (void)state;
    static const uint32_t nans[] = {0x7F800001, 0xFF800001, 0x7F801FFF, 0x7FFFFFFF, 0x7FC00000};
    for (size_t i = 0; i < sizeof nans / sizeof nans[0]; i++) {
        float value;
        memcpy(&value, &nans[i], 4);
        assert_true(isnan(dtype_from_f16(dtype_to_f16(value))));
        assert_true(isnan(dtype_from_bf16(dtype_to_bf16(value))));
    }
}

// Python's struct.pack('e', x) of the same floats.
static void known_halves(void **state)
{
    (void)state;
    static const struct {
        float value;
        uint16_t bits;
    } cases[] = {
        {1.0f, 0x3C00},           {0x1.99999ap-4f, 0x2E66},  {65504.0f, 0x7BFF},
        {0x1.ffdffep15f, 0x7BFF}, {65520.0f, 0x7C00},        {0x1p-24f, 0x0001},
        {0x1p-25f, 0x0000},       {0x1.000002p-25f, 0x0001}, {-0.0f, 0x8000},
        {0x1.921fa0p+1f, 0x4248}, {0x1.ffb480p-15f, 0x03FF}, {0x1.555556p-2f, 0x3555},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(dtype_to_f16(cases[i].value), cases[i].bits);
}

// The array forms give what the single ones give, at odd addresses and lengths, and no byte more.
static void arrays(void **state)
{
    (void)state;
    enum { N = 1 << 16 };
    float *decoded = MEM_ARRAY(float, N + 1), *again = MEM_ARRAY(float, N + 1);
    unsigned char *bytes = mem_calloc(4 * N + 8, 1);
    for (const struct format *f = formats; f < formats + 2; f++) {
        assert_int_equal(dtype_size(f->type), 2);
        for (uint32_t i = 0; i < N; i++) {
            uint16_t half = (uint16_t)(i * 40503); // every value once, mixed
            memcpy(bytes + 1 + 2 * i, &half, 2);
        }
        static const size_t counts[] = {0, 1, 7, 8, 9, 31, 1000, N};
        for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
            decoded[counts[c]] = 42;
            dtype_decode(decoded, bytes + 1, f->type, counts[c]);
            assert_true(decoded[counts[c]] == 42);
            for (size_t i = 0; i < counts[c]; i++) {
                float one = f->decode((uint16_t)(i * 40503));
                assert_memory_equal(&decoded[i], &one, 4);
            }
        }
        unsigned char *out = mem_calloc(2 * N + 3, 1);
        out[0] = out[1 + 2 * N] = 0xA5;
        dtype_encode(out + 1, decoded, f->type, N);
        assert_true(out[0] == 0xA5 && out[1 + 2 * N] == 0xA5);
        for (size_t i = 0; i < N; i++) {
            uint16_t one = f->encode(decoded[i]);
            assert_memory_equal(out + 1 + 2 * i, &one, 2);
        }
        mem_free(out);
    }
    assert_int_equal(dtype_size(DTYPE_F32), 4);
    dtype_encode(bytes + 3, decoded, DTYPE_F32, N);
    dtype_decode(again, bytes + 3, DTYPE_F32, N);
    assert_memory_equal(again, decoded, 4 * N);
    assert_string_equal(dtype_name(DTYPE_F32), "F32");
    assert_string_equal(dtype_name(DTYPE_F16), "F16");
    assert_string_equal(dtype_name(DTYPE_BF16), "BF16");
    mem_free(decoded);
    mem_free(again);
    mem_free(bytes);
}

static void test_bytes(void **state)
{
    (void)state;
    static const float values[] = {0, 1, 127.4f, 127.6f, 254.9f, 255, 300, -1, INFINITY, NAN};
    static const uint8_t want[] = {0, 1, 127, 128, 255, 255, 255, 0, 255, 0};
    uint8_t out[10], all[256];
    float decoded[256];
    dtype_encode(out, values, DTYPE_U8, 10);
    assert_memory_equal(out, want, 10);
    for (int i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    dtype_decode(decoded, all, DTYPE_U8, 256);
    for (int i = 0; i < 256; i++)
        assert_true(decoded[i] == (float)i);
    assert_int_equal(dtype_size(DTYPE_U8), 1);
    assert_string_equal(dtype_name(DTYPE_U8), "U8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(decode_every_value),
        cmocka_unit_test(round_trip_every_value),
        cmocka_unit_test(round_at_every_boundary),
        cmocka_unit_test(nan_stays_nan),
        cmocka_unit_test(known_halves),
        cmocka_unit_test(arrays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
