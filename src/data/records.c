#include "data/records.h"

#include "data/prompts.h"

#include <string.h>

// ---- fields ----

static const char *kind_of(const cJSON *v)
{
    if (!v || cJSON_IsNull(v)) return "nothing";
    if (cJSON_IsString(v)) return "a string";
    if (cJSON_IsNumber(v)) return "a number";
    if (cJSON_IsBool(v)) return "true or false";
    if (cJSON_IsArray(v)) return "a list";
    return "an object";
}

// A member, or NULL if absent or null (as exporters write the columns that a row lacks).
static const cJSON *field(const cJSON *row, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(row, key);
    return cJSON_IsNull(v) ? NULL : v;
}

// "missing field 'chosen' (found: prompt, text); a preference record has ..."
static bool missing(const cJSON *row, const char *key, enum data_kind kind)
{
    static const char *const has[] = {
        [DATA_PAIRS] = "a preference record has chosen and rejected, with prompt or holding it",
        [DATA_TEXTS] =
            "a record for SFT has prompt and completion, or messages, or text, or chosen",
        [DATA_UNPAIRED] = "a record for KTO has prompt, completion, label, or chosen, rejected"};
    struct str found = {0};
    size_t shown = 0;
    for (const cJSON *m = row->child; m; m = m->next) {
        if (++shown > 12 || found.len > 200) {
            str_append(&found, ", ...");
            break;
        }
        str_appendf(&found, "%s%.40s%s", found.len ? ", " : "", m->string,
                    cJSON_IsNull(m) ? " (null)" : "");
    }
    err_user("missing field '%s' (found: %s); %s", key, found.len ? str_text(&found) : "none",
             has[kind]);
    str_finish(&found);
    return false;
}

// A field that is a text or a list of messages. NULL on failure.
static const cJSON *content_field(const cJSON *row, const char *key, enum data_kind kind)
{
    const cJSON *v = field(row, key);
    if (!v) {
        missing(row, key, kind);
        return NULL;
    }
    if (cJSON_IsString(v)) return v;
    if (!cJSON_IsArray(v)) {
        err_user("'%s': expected a string or a list of messages, found %s", key, kind_of(v));
        return NULL;
    }
    size_t index = 0;
    for (const cJSON *m = v->child; m; m = m->next, index++) {
        if (!cJSON_IsObject(m)) {
            err_user("'%s[%zu]': expected an object with role and content, found %s", key, index,
                     kind_of(m));
            return NULL;
        }
        static const char *const members[] = {"role", "content"};
        for (int i = 0; i < 2; i++) {
            if (cJSON_IsString(field(m, members[i]))) continue;
            err_user("'%s[%zu].%s': expected a string, found %s", key, index, members[i],
                     kind_of(field(m, members[i])));
            return NULL;
        }
    }
    return v;
}

// Both must be texts, or both lists.
static bool same_kind(const cJSON *a, const char *a_key, const cJSON *b, const char *b_key)
{
    if (cJSON_IsString(a) == cJSON_IsString(b)) return true;
    return err_user("'%s': expected %s, as '%s' has, found %s", b_key,
                    cJSON_IsString(a) ? "a string" : "a list of messages", a_key, kind_of(b));
}

// ---- prompt and whole texts ----

static void append_messages(cJSON *to, const cJSON *list, size_t count)
{
    for (cJSON *m = list->child; m && count; m = m->next, count--)
        cJSON_AddItemReferenceToArray(to, m);
}

// Texts or messages that hold the prompt: its end is found by comparing them.
static void set_implicit(struct data_record *r, const cJSON *const whole[2])
{
    const cJSON *a = whole[0], *b = whole[1];
    r->messages = cJSON_IsArray(a);
    // A text for SFT that is preferred to itself tells as much as if it stood alone.
    if (r->completions == 1 && b && cJSON_Compare(a, b, true)) b = NULL;
    if (r->messages) {
        r->prompt_list = cJSON_CreateArray();
        append_messages(r->prompt_list, a, data_split_messages(a, b));
        for (int i = 0; i < r->completions; i++) {
            r->whole_list[i] = cJSON_CreateArray();
            append_messages(r->whole_list[i], whole[i], SIZE_MAX);
        }
        return;
    }
    const char *x = a->valuestring, *y = b ? b->valuestring : NULL;
    str_append_bytes(&r->prompt, x, data_split_text(x, strlen(x), y, y ? strlen(y) : 0));
    for (int i = 0; i < r->completions; i++)
        str_append(&r->whole[i], whole[i]->valuestring);
}

static void set_explicit(struct data_record *r, const cJSON *prompt,
                         const cJSON *const completion[2])
{
    r->messages = cJSON_IsArray(prompt);
    if (r->messages) {
        r->prompt_list = cJSON_CreateArray();
        append_messages(r->prompt_list, prompt, SIZE_MAX);
    } else {
        str_append(&r->prompt, prompt->valuestring);
    }
    for (int i = 0; i < r->completions; i++) {
        if (r->messages) {
            r->whole_list[i] = cJSON_CreateArray();
            append_messages(r->whole_list[i], prompt, SIZE_MAX);
            append_messages(r->whole_list[i], completion[i], SIZE_MAX);
        } else {
            str_append(&r->whole[i], prompt->valuestring);
            str_append(&r->whole[i], completion[i]->valuestring);
        }
    }
}

static bool holds_user_message(const cJSON *list, const char *text)
{
    for (const cJSON *m = list->child; m; m = m->next)
        if (strcmp(field(m, "role")->valuestring, "user") == 0 &&
            strcmp(field(m, "content")->valuestring, text) == 0)
            return true;
    return false;
}

// A prompt that is a text beside completions that are messages.
static void set_text_prompt(struct data_record *r, const char *prompt,
                            const cJSON *const completion[2])
{
    bool held = holds_user_message(completion[0], prompt) &&
                (!completion[1] || holds_user_message(completion[1], prompt));
    if (held) {
        set_implicit(r, completion);
        return;
    }
    cJSON *list = cJSON_CreateArray(), *message = cJSON_CreateObject();
    cJSON_AddStringToObject(message, "role", "user");
    cJSON_AddStringToObject(message, "content", prompt);
    cJSON_AddItemToArray(list, message);
    r->messages = true;
    r->prompt_list = list; // owns the message that the others refer to
    for (int i = 0; i < r->completions; i++) {
        r->whole_list[i] = cJSON_CreateArray();
        append_messages(r->whole_list[i], list, 1);
        append_messages(r->whole_list[i], completion[i], SIZE_MAX);
    }
}

// chosen and rejected, or `first` alone, with a prompt or holding it.
static bool read_completions(struct data_record *r, const cJSON *row, const char *first,
                             enum data_kind kind)
{
    const cJSON *whole[2] = {content_field(row, first, kind), NULL}, *prompt = NULL;
    if (!whole[0]) return false;
    bool chosen = strcmp(first, "chosen") == 0;
    if (chosen && (kind != DATA_TEXTS || field(row, "rejected"))) {
        whole[1] = content_field(row, "rejected", kind);
        if (!whole[1] || !same_kind(whole[0], first, whole[1], "rejected")) return false;
    }
    const cJSON *given = field(row, "prompt");
    if (!given) {
        bool holds_it = chosen || (kind == DATA_UNPAIRED && cJSON_IsArray(whole[0]));
        if (!holds_it) return missing(row, "prompt", kind);
        set_implicit(r, whole);
        return true;
    }
    prompt = content_field(row, "prompt", kind);
    if (!prompt) return false;
    if (cJSON_IsString(prompt) && cJSON_IsArray(whole[0])) {
        set_text_prompt(r, prompt->valuestring, whole);
        return true;
    }
    if (!same_kind(prompt, "prompt", whole[0], first)) return false;
    set_explicit(r, prompt, whole);
    return true;
}

// A record for KTO: one labelled completion, or a pair that becomes two.
static bool read_unpaired(struct data_record *r, const cJSON *row)
{
    if (!field(row, "completion") && (field(row, "chosen") || field(row, "rejected"))) {
        r->completions = r->rows = 2;
        r->label[0] = 1;
        return read_completions(r, row, "chosen", DATA_UNPAIRED);
    }
    if (!read_completions(r, row, "completion", DATA_UNPAIRED)) return false;
    const cJSON *label = field(row, "label");
    if (!label) return missing(row, "label", DATA_UNPAIRED);
    if (cJSON_IsNumber(label) && (label->valuedouble == 0 || label->valuedouble == 1))
        r->label[0] = label->valuedouble == 1;
    else if (cJSON_IsBool(label))
        r->label[0] = cJSON_IsTrue(label);
    else
        return err_user("'label': expected true or false (or 1 or 0), found %s",
                        cJSON_IsNumber(label) ? "another number" : kind_of(label));
    return true;
}

static bool read_text(struct data_record *r, const cJSON *row)
{
    const cJSON *text = field(row, "text");
    if (!cJSON_IsString(text))
        return err_user("'text': expected a string, found %s", kind_of(text));
    str_append(&r->whole[0], text->valuestring);
    return true;
}

static bool read_messages(struct data_record *r, const cJSON *row, bool completion_only)
{
    const cJSON *list = content_field(row, "messages", DATA_TEXTS);
    if (!list) return false;
    if (!cJSON_IsArray(list))
        return err_user("'messages': expected a list of messages, found %s", kind_of(list));
    size_t prompt = data_split_messages(list, NULL);
    // Where the assistant says nothing there is no completion, but a whole text all the same.
    if (prompt == (size_t)cJSON_GetArraySize(list) && !completion_only) prompt = 0;
    r->messages = true;
    r->prompt_list = cJSON_CreateArray();
    r->whole_list[0] = cJSON_CreateArray();
    append_messages(r->prompt_list, list, prompt);
    append_messages(r->whole_list[0], list, SIZE_MAX);
    return true;
}

static bool read_sft(struct data_record *r, const cJSON *row, bool completion_only)
{
    if (field(row, "messages")) return read_messages(r, row, completion_only);
    if (field(row, "completion")) return read_completions(r, row, "completion", DATA_TEXTS);
    if (field(row, "text")) return read_text(r, row);
    if (field(row, "chosen")) return read_completions(r, row, "chosen", DATA_TEXTS);
    return missing(row, field(row, "prompt") ? "completion" : "text", DATA_TEXTS);
}

bool data_record_read(struct data_record *r, const cJSON *row, enum data_kind kind,
                      bool completion_only)
{
    *r = (struct data_record){.completions = kind == DATA_PAIRS ? 2 : 1, .rows = 1};
    bool ok;
    if (!cJSON_IsObject(row))
        ok = err_user("expected an object, found %s (a dataset has one JSON object a line)",
                      kind_of(row));
    else if (kind == DATA_PAIRS)
        ok = read_completions(r, row, "chosen", kind);
    else if (kind == DATA_UNPAIRED)
        ok = read_unpaired(r, row);
    else
        ok = read_sft(r, row, completion_only);
    if (!ok) data_record_finish(r);
    return ok;
}

void data_record_finish(struct data_record *r)
{
    str_finish(&r->prompt);
    cJSON_Delete(r->prompt_list);
    for (int i = 0; i < 2; i++) {
        str_finish(&r->whole[i]);
        cJSON_Delete(r->whole_list[i]);
    }
    *r = (struct data_record){0};
}
