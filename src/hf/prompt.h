// Prompts for a model to continue: a text, a list of messages, or a file of either.
#ifndef TRDPO_HF_PROMPT_H
#define TRDPO_HF_PROMPT_H

#include "hf/chat_template.h"
#include "hf/tokenizer.h"

#include <cjson/cJSON.h>

// What prompts are encoded with. Set the first two and zero the rest; release with
// hf_prompter_finish(), which leaves those two to their owner.
struct hf_prompter {
    const struct hf_tokenizer *tokenizer;
    const char *dir;               // the model's folder, for messages to the user
    struct hf_chat_template *chat; // parsed when it is first asked for
};
void hf_prompter_finish(struct hf_prompter *p);

// Appends the ids of a prompt: plain text with the tokenizer's special tokens (its BOS), or, with
// `chat`, one message of the user rendered by the chat template. Never appends nothing: a prompt
// without a token is err_user, as is a chat template that the model lacks or that does not parse.
bool hf_prompt_text(struct hf_prompter *p, const char *text, size_t len, bool chat,
                    struct hf_ids *ids);

// The same for a list of messages, which always takes the chat template.
bool hf_prompt_messages(struct hf_prompter *p, const cJSON *messages, struct hf_ids *ids);

// Several prompts: entry i of both arrays belongs to prompt i.
struct hf_prompts {
    struct hf_prompt_ids ARRAY_OF(struct hf_ids) ids;
    struct hf_prompt_texts ARRAY_OF(char *) shown; // as JSON: a string, or the messages
};
void hf_prompts_finish(struct hf_prompts *prompts); // accepts a zeroed struct

// Appends one prompt.
bool hf_prompts_add_text(struct hf_prompts *prompts, struct hf_prompter *p, const char *text,
                         size_t len, bool chat);

// Appends those of a file of JSON lines, each with "prompt": a text, or a list of messages; empty
// lines are passed over. err_user with file and line; a file without a prompt is one too.
bool hf_prompts_read(struct hf_prompts *prompts, struct hf_prompter *p, const char *path,
                     bool chat);

#endif
