// libtrdpo: TR-DPO on any Vulkan GPU, for C programs.
//
//   #include <trdpo/trdpo.h>          cc program.c $(pkg-config --cflags --libs trdpo)
//
//   struct trdpo_device *device;
//   if (trdpo_device_open(NULL, &device) != TRDPO_OK) {
//       fprintf(stderr, "%s\n", trdpo_last_error());
//       return 1;
//   }
//   struct trdpo_train_params params = {.config = "configs/hh.yaml"};
//   enum trdpo_status status = trdpo_train(device, &params);
//   trdpo_device_close(device);
//
// Conventions
//
// Handles (struct trdpo_device, ...) are opaque; whoever opens one closes it, and closing NULL does
// nothing. A handle made from a device is closed before the device. Parameter structs are
// initialised with zeros: a member left at zero takes the default told beside it. Strings are
// UTF-8; those passed in are needed for the time of the call only.
//
// A function that can fail returns a status, and trdpo_last_error() says what went wrong, where,
// and what to do. The library never ends the program for a user's mistake and never prints to
// standard output; it writes messages to standard error only after trdpo_set_messages(). It does
// not touch signal handlers. For CPU devices it may set LP_NATIVE_VECTOR_WIDTH in the environment
// where that is not set.
//
// A device and all made from it are used by one thread at a time; different devices may be used by
// different threads. The last error is kept for each thread.
#ifndef TRDPO_TRDPO_H
#define TRDPO_TRDPO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum trdpo_status {
    TRDPO_OK = 0,
    TRDPO_DEVICE_ERROR = 1, // the device, a driver, a disk
    TRDPO_USER_ERROR = 2,   // wrong arguments, configuration or data
    TRDPO_STOPPED = 3,      // a callback ended it; nothing is wrong
};

// Version of the library, "0.1.0".
const char *trdpo_version(void);

// Why the last call on this thread failed; "" if none has. Valid until the thread's next call of a
// function of this header.
const char *trdpo_last_error(void);

// What the library writes to standard error, for the whole process.
enum trdpo_messages {
    TRDPO_SILENT,   // nothing (the default)
    TRDPO_WARNINGS, // what may be a mistake
    TRDPO_INFO,     // also progress, as `trdpo-vk train` shows it
};
void trdpo_set_messages(enum trdpo_messages messages);

// Frees a string that a function of this header handed out; NULL is accepted.
void trdpo_string_free(char *text);

// ---- devices ----

struct trdpo_device_info {
    uint32_t index;        // what trdpo_device_open() takes as a number
    const char *name;      // "llvmpipe (LLVM 19.1.7, 512 bits)"
    const char *driver;    // "llvmpipe"
    const char *kind;      // "discrete", "integrated", "virtual", "CPU", "other"
    uint64_t memory_bytes; // in all
    uint64_t free_bytes;   // as far as the driver tells
    const char *missing;   // a feature that is needed and lacking; NULL: usable
};

// All Vulkan devices, the best first, usable or not.
struct trdpo_device_list;
enum trdpo_status trdpo_device_list_open(struct trdpo_device_list **list);
void trdpo_device_list_close(struct trdpo_device_list *list);
size_t trdpo_device_list_count(const struct trdpo_device_list *list);
// Entry `i` (below the count); its strings live as long as the list.
struct trdpo_device_info trdpo_device_list_at(const struct trdpo_device_list *list, size_t i);

// Opens a device: `selector` is its number or a part of its name; NULL: what TRDPO_DEVICE in the
// environment says, else the best.
struct trdpo_device;
enum trdpo_status trdpo_device_open(const char *selector, struct trdpo_device **device);
void trdpo_device_close(struct trdpo_device *device);

// ---- training ----

struct trdpo_train_params {
    const char *config; // YAML or JSON file of keys; NULL: all from `options`
    // Keys that win over the file: {"beta", "0.05", "output_dir", "run", NULL}. NULL: none.
    const char *const *options;
    // Called with each line of metrics.jsonl as it is written, one JSON object. Returning false
    // ends the run after saving a checkpoint from which another run can go on. NULL: none.
    bool (*on_metrics)(void *ctx, const char *json);
    void *ctx;
};

// Runs a training from beginning to end (or on from a checkpoint, as the configuration says), as
// `trdpo-vk train` does: checks all input first, writes the run's folder. TRDPO_STOPPED if
// on_metrics ended it.
enum trdpo_status trdpo_train(struct trdpo_device *device, const struct trdpo_train_params *params);

// ---- evaluation ----

struct trdpo_evaluate_params {
    const char *model;     // folder; needed
    const char *dataset;   // JSON lines file of preferences, or a folder of them; needed
    const char *ref_model; // folder of the reference; NULL: the model itself, so that rewards are 0
    const char *per_row;   // file to write one JSON object a row to; NULL: none
    double beta;           // scale of rewards; 0: 0.1
    uint32_t max_length;   // tokens of prompt and completion; 0: 1024
    uint32_t batch_size;   // rows of a batch, for losses that compare rows of a batch; 0: 8
    // Keys of a training configuration that say how to judge, with their values: {"method", "kto",
    // "desirable_weight", "2", NULL}. `trdpo-vk eval --help` lists them. NULL: method dpo, loss
    // sigmoid.
    const char *const *options;
};

// Judges a model on preferences, on judged completions (method kto) or on texts (method sft). *json
// receives one JSON object with "eval_loss",
// "eval_rewards/accuracies" and so on; free it with trdpo_string_free().
enum trdpo_status trdpo_evaluate(struct trdpo_device *device,
                                 const struct trdpo_evaluate_params *params, char **json);

// ---- text ----

// A model folder on a device, ready to continue texts.
struct trdpo_model;
enum trdpo_status trdpo_model_open(struct trdpo_device *device, const char *dir,
                                   struct trdpo_model **model);
void trdpo_model_close(struct trdpo_model *model);

struct trdpo_generate_params {
    uint32_t max_new_tokens; // 0: 128
    bool chat;               // render the prompt as a user's message by the chat template
    float temperature;       // 0: always the likeliest token
    float top_p;             // draw from the likeliest tokens up to this probability; 0: all
    uint32_t top_k;          // draw from the k likeliest tokens; 0: all
    uint64_t seed;           // of the draws; the same seed gives the same text
    // Called with the text as it comes, whole characters, not NUL-terminated. Returning false ends
    // it. NULL: none.
    bool (*on_text)(void *ctx, const char *text, size_t len);
    void *ctx;
};

// Continues `prompt`. *text receives the continuation (free it with trdpo_string_free(); `text` may
// be NULL where on_text takes it). `params` may be NULL: all defaults. TRDPO_STOPPED if on_text
// ended it; *text then holds what there was.
enum trdpo_status trdpo_generate(struct trdpo_model *model, const char *prompt,
                                 const struct trdpo_generate_params *params, char **text);

#ifdef __cplusplus
}
#endif

#endif
