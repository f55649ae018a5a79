// exp, log and the logistic functions, to a few units in the last place on every device: GLSL's
// exp() and log() may be off by hundreds where the argument is large or near 1, and a loss is
// computed once a pair. Without branches, which compilers of shaders take long over.
#ifndef TRDPO_LOGISTIC_GLSL
#define TRDPO_LOGISTIC_GLSL

#define NOT_A_NUMBER uintBitsToFloat(0x7fc00000u)
#define INFINITE uintBitsToFloat(0x7f800000u)

// (exp(x), exp(x) - 1), the second with all its digits near 0. Infinite where x > 88.72; exp(x) is
// 0 where it is below the smallest normal number. NaN for NaN.
vec2 exp_and_less(float x)
{
    float inside = clamp(x, -88.0, 88.7228);
    // x = n ln 2 + r with |r| <= ln 2 / 2; ln 2 in two parts, so that n times the first is exact.
    float n = floor(inside * 1.44269504 + 0.5);
    precise float r = (inside - n * 0.693359375) + n * 2.12194440e-4;
    float less =
        r *
        (1.0 +
         r * (1.0 / 2.0) *
             (1.0 + r * (1.0 / 3.0) *
                        (1.0 + r * (1.0 / 4.0) *
                                   (1.0 + r * (1.0 / 5.0) *
                                              (1.0 + r * (1.0 / 6.0) *
                                                         (1.0 + r * (1.0 / 7.0) *
                                                                    (1.0 + r * (1.0 / 8.0))))))));
    // 2^n as a number and a factor, since 2^128 is none.
    float power = uintBitsToFloat(uint(clamp(int(n) + 127, 1, 254)) << 23),
          rest = n > 127.0 ? 2.0 : 1.0;
    float e = (1.0 + less) * power * rest;
    e = x < -87.0 ? 0.0 : e;
    e = x > 88.7228 ? INFINITE : e;
    e = (floatBitsToUint(x) & 0x7fffffffu) > 0x7f800000u ? x : e;
    return vec2(e, n == 0.0 ? less : e - 1.0);
}

float exp_any(float x)
{
    return exp_and_less(x).x;
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
float log_one_plus(float e)
{
    return twice_artanh(e / (2.0 + e));
}

// log(x): minus infinity at 0 (and below the smallest normal number), NaN below 0.
float log_any(float x)
{
    // x = m 2^n with m from sqrt(1/2) to sqrt(2).
    uint bits = floatBitsToUint(x);
    int n = int(bits - 0x3f3504f3u) >> 23;
    float m = uintBitsToFloat(bits - (uint(n) << 23)), high = float(n) * 0.693359375;
    float y = high + (twice_artanh((m - 1.0) / (m + 1.0)) - float(n) * 2.12194440e-4);
    y = x < 1.17549435e-38 ? -INFINITE : y;
    return x < 0.0 || is_nonfinite(x) ? NOT_A_NUMBER : y;
}

// log s(z), log s(-z), s(z), s(-z) of the sigmoid s. All are NaN where z is NaN or infinite: said
// aloud, since min() and max() may drop a NaN.
struct logistic {
    float log_yes, log_no, yes, no;
};

logistic logistic_of(float z)
{
    // From e = exp(-|z|): ls(|z|) = -log(1 + e), ls(-|z|) = -|z| - log(1 + e), s(|z|) = 1 / (1 +
    // e), s(-|z|) = e / (1 + e).
    float magnitude = is_nonfinite(z) ? NOT_A_NUMBER : abs(z);
    float e = exp_any(-magnitude), large = 1.0 / (1.0 + e), small = e / (1.0 + e);
    float near = -log_one_plus(e), far = near - magnitude;
    bool positive = z >= 0.0;
    return logistic(positive ? near : far, positive ? far : near, positive ? large : small,
                    positive ? small : large);
}

// -(1 - E) ls(z) - E ls(-z) and its slope by z.
vec2 smoothed(logistic s, float z, float smoothing)
{
    // Of the two terms the one that grows with |z| has weight `wrong`; log(1 + e) has weight 1.
    bool positive = z >= 0.0;
    float wrong = positive ? smoothing : 1.0 - smoothing, near = positive ? s.log_yes : s.log_no;
    return vec2(wrong * abs(z) - near, s.yes * smoothing - s.no * (1.0 - smoothing));
}

#endif
