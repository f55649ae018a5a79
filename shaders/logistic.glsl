// exp(-a), log(1 + e) and what is made of them, to a few units in the last place on every device:
// GLSL's exp() and log() may be off by hundreds where the argument is large or near 1, and a loss
// is computed once a pair.
#ifndef TRDPO_LOGISTIC_GLSL
#define TRDPO_LOGISTIC_GLSL

// exp(-a) for a >= 0; 0 where that is below the smallest normal number. exp_neg(0) is 1.
float exp_neg(float a)
{
    if (!(a < 87.0))
        return 0.0;
    // a = n ln 2 + r with |r| <= ln 2 / 2; ln 2 in two parts, so that n times the first is exact.
    float n = floor(a * 1.44269504 + 0.5);
    precise float r = (a - n * 0.693359375) + n * 2.12194440e-4;
    float p = 1.0 - r * (1.0 - r * (1.0 / 2.0) * (1.0 - r * (1.0 / 3.0) * (1.0 - r * (1.0 / 4.0) *
        (1.0 - r * (1.0 / 5.0) * (1.0 - r * (1.0 / 6.0) * (1.0 - r * (1.0 / 7.0)))))));
    return ldexp(p, -int(n));
}

// log(1 + e) for e in [0, 1], by 2 artanh(e / (2 + e)): no digits are lost where e is small.
float log_one_plus(float e)
{
    float s = e / (2.0 + e), t = s * s;
    float p = 1.0 / 15.0;
    p = p * t + 1.0 / 13.0;
    p = p * t + 1.0 / 11.0;
    p = p * t + 1.0 / 9.0;
    p = p * t + 1.0 / 7.0;
    p = p * t + 1.0 / 5.0;
    p = p * t + 1.0 / 3.0;
    return 2.0 * s + 2.0 * s * (t * p);
}

#endif
