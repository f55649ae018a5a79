#include "gradient.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct rng source = {.seed = 42, .stream = RNG_TEST};

void draw(double *values, size_t count, double std)
{
    for (size_t i = 0; i < count; i++)
        values[i] = std * rng_normal(&source);
}

uint32_t draw_below(uint32_t bound)
{
    return (uint32_t)rng_below(&source, bound);
}

double weighted_sum(const double *values, const double *weights, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i] * weights[i];
    return sum;
}

void check_gradient(const char *what, double *x, size_t count, const double *gradient, objective f,
                    void *ctx)
{
    const double step = 1e-5;
    double largest = 0;
    for (size_t i = 0; i < count; i++)
        if (fabs(gradient[i]) > largest) largest = fabs(gradient[i]);
    if (!(largest > 1e-6)) fail_msg("%s: the gradient is 0 everywhere, which proves nothing", what);
    for (size_t i = 0; i < count; i++) {
        double kept = x[i];
        x[i] = kept + step;
        double above = f(ctx);
        x[i] = kept - step;
        double below = f(ctx);
        x[i] = kept;
        double slope = (above - below) / (2 * step);
        if (!(fabs(slope - gradient[i]) <= 1e-7 * fmax(1, largest)))
            fail_msg("%s[%zu]: gradient %.12g, finite difference %.12g", what, i, gradient[i],
                     slope);
    }
}

void check_near(const char *what, double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance * fmax(1, fabs(want))))
        fail_msg("%s is %.15g, want %.15g", what, got, want);
}
