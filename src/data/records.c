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
static bool missing(const cJSON *row, const char *key, bool pairs)
{
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
             pairs ? "a preference record has chosen and rejected, with prompt or holding it"
                   : "a record for SFT has prompt and completion, or messages, or text, or chosen");
    str_finish(&found);
    return false;
}

// A field that is a text or a list of messages. NULL on failure.
static const cJSON *content_field(const cJSON *row, const char *key, bool pairs)
{
    const cJSON *v = field(row, key);
    if (!v) {
        missing(row, key, pairs);
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
                             bool need_second, bool pairs)
{
    const cJSON *whole[2] = {content_field(row, first, pairs), NULL}, *prompt = NULL;
    if (!whole[0]) return false;
    if (need_second || (strcmp(first, "chosen") == 0 && field(row, "rejected"))) {
        whole[1] = content_field(row, "rejected", pairs);
        if (!whole[1] || !same_kind(whole[0], first, whole[1], "rejected")) return false;
    }
    const cJSON *given = field(row, "prompt");
    if (!given) {
        if (strcmp(first, "completion") == 0) return missing(row, "prompt", pairs);
        set_implicit(r, whole);
        return true;
    }
    prompt = content_field(row, "prompt", pairs);
    if (!prompt) return false;
    if (cJSON_IsString(prompt) && cJSON_IsArray(whole[0])) {
        set_text_prompt(r, prompt->valuestring, whole);
        return true;
    }
    if (!same_kind(prompt, "prompt", whole[0], first)) return false;
    set_explicit(r, prompt, whole);
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
    const cJSON *list = content_field(row, "messages", false);
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

bool data_record_read(struct data_record *r, const cJSON *row, bool pairs, bool completion_only)
{
    *r = (struct data_record){.completions = pairs ? 2 : 1};
    bool ok;
    if (!cJSON_IsObject(row))
        ok = err_user("expected an object, found %s (a dataset has one JSON object a line)",
                      kind_of(row));
    else if (pairs)
        ok = read_completions(r, row, "chosen", true, pairs);
    else if (field(row, "messages"))
        ok = read_messages(r, row, completion_only);
    else if (field(row, "completion"))
        ok = read_completions(r, row, "completion", false, pairs);
    else if (field(row, "text"))
        ok = read_text(r, row);
    else if (field(row, "chosen"))
        ok = read_completions(r, row, "chosen", false, pairs);
    else
        ok = missing(row, field(row, "prompt") ? "completion" : "text", pairs);
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
