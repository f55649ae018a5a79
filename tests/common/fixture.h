// A tiny model of tests/fixtures on the device, with the preference rows beside it.
#ifndef TEST_FIXTURE_H
#define TEST_FIXTURE_H

#include "data/dataset.h"
#include "hf/tokenizer.h"
#include "model/weights.h"

#include <cjson/cJSON.h>

struct fixture {
    struct vk_device *device;
    const char *name; // "tiny-gqa"
    struct hf_config hf;
    struct hf_tokenizer *tokenizer;
    struct model_layout layout;
    struct data_set set; // prefs.jsonl or other rows, tokenised for this model
    cJSON *expected;     // expected.json
};

// Asserts (cmocka) that everything loads. `pairs` false: the rows as SFT reads them.
void fixture_open(struct fixture *f, struct vk_device *device, const char *name, bool pairs);
// The same with a limit on the bytes of a span (model_layout_init).
void fixture_open_spans(struct fixture *f, struct vk_device *device, const char *name, bool pairs,
                        uint64_t max_span_bytes);
// The same with rows as asked for.
struct fixture_rows {
    const char *file; // of tests/fixtures
    enum data_kind kind;
    uint32_t max_length;
};
void fixture_open_rows(struct fixture *f, struct vk_device *device, const char *name,
                       const struct fixture_rows *rows, uint64_t max_span_bytes);
void fixture_close(struct fixture *f);

// Path of a file of the fixture, or of the folder with SUFFIX behind its name ("-ref"); in a static
// buffer.
const char *fixture_path(const struct fixture *f, const char *suffix, const char *file);

// An arena with the weights of the fixture ("" or "-ref"), or zeroed (NULL).
void fixture_weights(struct fixture *f, struct model_weights *w, const char *suffix);
// The same in another storage than fp32.
void fixture_weights_as(struct fixture *f, struct model_weights *w, const char *suffix,
                        enum model_storage storage);

// 2-norm of (a - b) over the 2-norm of b, of one tensor or of all.
double fixture_distance(const struct model_weights *a, const struct hf_tensors *b,
                        const struct model_tensor *t);

// Number at a path of member names, "dpo", "loss".
double fixture_number(const cJSON *object, const char *first, const char *second);

#endif
