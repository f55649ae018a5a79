#include "ops/check/harness.h"

const struct check_table check_update = {0};
