// exp, log and the logistic functions, to a few units in the last place on every device: GLSL's
// exp() and log() may be off by hundreds where the argument is large or near 1, and a loss is
// computed once a pair.
#ifndef TRDPO_LOGISTIC_GLSL
#define TRDPO_LOGISTIC_GLSL

#define NOT_A_NUMBER uintBitsToFloat(0x7fc00000u)
#define INFINITE uintBitsToFloat(0x7f800000u)

// exp(-r) for |r| <= ln 2 / 2.
float exp_neg_series(float r)
{
    return 1.0 - r * (1.0 - r * (1.0 / 2.0) * (1.0 - r * (1.0 / 3.0) * (1.0 - r * (1.0 / 4.0) *
        (1.0 - r * (1.0 / 5.0) * (1.0 - r * (1.0 / 6.0) * (1.0 - r * (1.0 / 7.0)))))));
}

// a - n ln 2; ln 2 in two parts, so that n times the first is exact.
float minus_ln2(float a, float n)
{
    precise float r = (a - n * 0.693359375) + n * 2.12194440e-4;
    return r;
}

// exp(-a) for a >= 0; 0 where that is below the smallest normal number. exp_neg(0) is 1.
float exp_neg(float a)
{
    if (!(a < 87.0))
        return 0.0;
    float n = floor(a * 1.44269504 + 0.5);
    return ldexp(exp_neg_series(minus_ln2(a, n)), -int(n));
}

// exp(x) for any x: infinite beyond the largest number, 0 below the smallest normal one.
float exp_any(float x)
{
    if (is_nonfinite(x))
        return floatBitsToUint(x) == 0xff800000u ? 0.0 : x;
    if (x <= 0.0)
        return exp_neg(-x);
    if (x > 88.7228)
        return INFINITE;
    float n = floor(x * 1.44269504 + 0.5);
    return ldexp(exp_neg_series(-minus_ln2(x, n)), int(n) - 1) * 2.0;
}

// exp(x) - 1 with all its digits near 0.
float exp_minus_one(float x)
{
    if (!(abs(x) < 0.5))
        return exp_any(x) - 1.0;
    return x * (1.0 + x * (1.0 / 2.0) * (1.0 + x * (1.0 / 3.0) * (1.0 + x * (1.0 / 4.0) *
        (1.0 + x * (1.0 / 5.0) * (1.0 + x * (1.0 / 6.0) * (1.0 + x * (1.0 / 7.0) *
        (1.0 + x * (1.0 / 8.0) * (1.0 + x * (1.0 / 9.0)))))))));
}

// 2 artanh(s) = log((1 + s) / (1 - s)) for |s| <= 1/3.
float twice_artanh(float s)
{
    float t = s * s;
    float p = 1.0 / 15.0;
    p = p * t + 1.0 / 13.0;
    p = p * t + 1.0 / 11.0;
    p = p * t + 1.0 / 9.0;
    p = p * t + 1.0 / 7.0;
    p = p * t + 1.0 / 5.0;
    p = p * t + 1.0 / 3.0;
    return 2.0 * s + 2.0 * s * (t * p);
}

// log(1 + e) for e in [-1/2, 1]: no digits are lost where e is small.
float log_one_plus(float e) { return twice_artanh(e / (2.0 + e)); }

// log(x): minus infinity at 0 (and below the smallest normal number), NaN below 0.
float log_any(float x)
{
    if (is_nonfinite(x) || x < 0.0)
        return x > 0.0 ? x : NOT_A_NUMBER;
    if (x < 1.17549435e-38)
        return -INFINITE;
    // x = m 2^n with m from sqrt(1/2) to sqrt(2).
    uint bits = floatBitsToUint(x);
    int n = int(bits - 0x3f3504f3u) >> 23;
    float m = uintBitsToFloat(bits - (uint(n) << 23)), high = float(n) * 0.693359375;
    return high + (twice_artanh((m - 1.0) / (m + 1.0)) - float(n) * 2.12194440e-4);
}

// log s(z), log s(-z), s(z), s(-z) of the sigmoid s. All are NaN where z is NaN or infinite: said
// aloud, since min() and max() may drop a NaN.
struct logistic {
    float log_yes, log_no, yes, no;
};

logistic logistic_of(float z)
{
    if (is_nonfinite(z))
        return logistic(NOT_A_NUMBER, NOT_A_NUMBER, NOT_A_NUMBER, NOT_A_NUMBER);
    float magnitude = abs(z), e = exp_neg(magnitude), large = 1.0 / (1.0 + e), small = e / (1.0 + e);
    float near = -log_one_plus(e), far = near - magnitude;
    return z >= 0.0 ? logistic(near, far, large, small) : logistic(far, near, small, large);
}

#endif
