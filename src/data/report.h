// What happened to the rows of a dataset, checked and told.
#ifndef TRDPO_DATA_REPORT_H
#define TRDPO_DATA_REPORT_H

#include "data/dataset.h"

// Fails if no row was read or none was kept, with the counts of the reasons.
bool data_report_check(const struct data_report *r, const char *path, uint32_t max_length);

#endif
