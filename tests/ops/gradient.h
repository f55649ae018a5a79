// Finite differences: the proof of the backward functions of the double reference.
#ifndef TEST_OPS_GRADIENT_H
#define TEST_OPS_GRADIENT_H

#include "base/rng.h"

#include <stddef.h>
#include <stdint.h>

#define LENGTH(array) (sizeof(array) / sizeof *(array))

// Random values of one seed for all tests, each call going on where the last one ended.
void draw(double *values, size_t count, double std);
uint32_t draw_below(uint32_t bound);

// A number made from the values under test, by way of the forward function: usually a weighted sum
// of its outputs, whose weights are then the gradient that the backward function is given.
typedef double (*objective)(void *ctx);
double weighted_sum(const double *values, const double *weights, size_t count);

// Fails the test unless gradient[i] is the derivative of f by x[i] for each i: central differences
// of steps of 1e-5, agreement to 1e-7 of the largest.
void check_gradient(const char *what, double *x, size_t count, const double *gradient, objective f,
                    void *ctx);

// Fails the test unless |got - want| <= tolerance * max(1, |want|).
void check_near(const char *what, double got, double want, double tolerance);

#endif
