// Rows of random tokens for test_placement, which asks where a row stands and finds it again by
// origin.
#ifndef TEST_PLACED_ROWS_H
#define TEST_PLACED_ROWS_H

#include "data/dataset.h"
#include "model/layout.h"

#define ROWS 24

// Rows whose ids stand for those of another set: origin[i] is where id i has its like there.
struct rows {
    struct data_set set;
    struct origins ARRAY_OF(uint32_t) origin;
};
void rows_finish(struct rows *r);

// A pair as two rows that share nothing.
void rows_unpaired(struct rows *to, const struct data_set *pairs);

// Slots of the longest row and of all.
uint32_t rows_slots(const struct data_set *set, uint32_t *all);

// What a comparison runs on: pairs of random tokens, and derivatives by each position's log-prob.
struct subject {
    struct rows pairs;
    uint32_t all, longest, origins; // slots of all rows and of the longest; positions
    size_t bytes;                   // of a gradient
    float *dlogp;
};
void subject_open(struct subject *t, const struct model_layout *layout, uint64_t seed);
void subject_close(struct subject *t);

#endif
