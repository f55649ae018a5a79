// exp and log to the last digit or two of a float. The built-in ones are allowed several times
// that, and on some devices use it, which log-probs near zero and sums over a vocabulary show.
#ifndef TRDPO_ACCURATE_GLSL
#define TRDPO_ACCURATE_GLSL

// ln 2 in two parts, the first exact times any exponent.
const float LN2_HIGH = 0.693359375, LN2_LOW = -2.12194440054690581e-4;

// e^x for x <= 88; 0 below -87.
float accurate_exp(float x)
{
    float n = floor(x * 1.44269504088896341 + 0.5);
    precise float r = (x - n * LN2_HIGH) - n * LN2_LOW; // at most ln 2 / 2
    float series = 1.0 / 5040.0;
    series = series * r + 1.0 / 720.0;
    series = series * r + 1.0 / 120.0;
    series = series * r + 1.0 / 24.0;
    series = series * r + 1.0 / 6.0;
    series = series * r + 0.5;
    precise float e = 1.0 + (r + r * r * series);
    float scale = uintBitsToFloat(uint(clamp(int(n) + 127, 1, 254)) << 23);
    return x < -87.0 ? 0.0 : e * scale;
}

// ln((1 + s) / (1 - s)) for small s.
float log_ratio(float s)
{
    float q = s * s, series = 1.0 / 11.0;
    series = series * q + 1.0 / 9.0;
    series = series * q + 1.0 / 7.0;
    series = series * q + 1.0 / 5.0;
    series = series * q + 1.0 / 3.0;
    return 2.0 * s + 2.0 * s * q * series;
}

// ln(1 + x) for x >= 0.
float accurate_log1p(float x)
{
    if (x < 0.4) return log_ratio(x / (2.0 + x));
    uint bits = floatBitsToUint(1.0 + x);
    // 1 + x = m 2^n with m from sqrt(1/2) to sqrt(2).
    int n = int(bits - 0x3f3504f3u) >> 23;
    float m = uintBitsToFloat(bits - (uint(n) << 23));
    return float(n) * LN2_HIGH + (log_ratio((m - 1.0) / (m + 1.0)) + float(n) * LN2_LOW);
}

#endif
