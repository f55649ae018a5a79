// Templates as tokens, with transformers' whitespace rules (trim_blocks, lstrip_blocks).
#ifndef TRDPO_HF_CHAT_TEMPLATE_LEX_H
#define TRDPO_HF_CHAT_TEMPLATE_LEX_H

#include "chat_template_value.h"

#include "base/array.h"

enum jinja_token_kind {
    JINJA_TOKEN_DATA,   // text outside of tags
    JINJA_TOKEN_OUTPUT, // {{
    JINJA_TOKEN_BLOCK,  // {%
    JINJA_TOKEN_CLOSE,  // }} or %}
    JINJA_TOKEN_NAME,   // text
    JINJA_TOKEN_CONST,  // value: a string or number
    JINJA_TOKEN_SYMBOL, // text: operator or bracket
    JINJA_TOKEN_END,    // of the template
};

struct jinja_token {
    enum jinja_token_kind kind;
    uint32_t line; // from 1
    struct jinja_text text;
    struct jinja_value value;
};
struct jinja_tokens ARRAY_OF(struct jinja_token);

// Splits `source` (valid UTF-8); the last token is END. Texts live in `arena`. False on failure
// (err_user with the line). Free `tokens` with ARRAY_FREE in any case.
bool jinja_lex(const char *source, struct jinja_arena *arena, struct jinja_tokens *tokens);

#endif
