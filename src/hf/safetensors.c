#include "hf/safetensors.h"

#include "base/error.h"
#include "base/json.h"
#include "base/mem.h"
#include "hf/safetensors_file.h"

#include <stdlib.h>
#include <string.h>

#define MAX_SHARDS 4096

struct shard {
    char *path;
    struct file_map map;
};

struct hf_tensors {
    char *path;
    struct shard *shards;
    size_t shard_count;
    struct hf_entries entries; // sorted by name; once open, the listed ones only
    struct hf_pairs metadata;  // of a single file
};

// A name of weight_map and the shard that it says holds it; both borrowed from the JSON tree.
struct placement {
    const char *name, *shard;
};
struct placements ARRAY_OF(struct placement);

static int compare_by_shard(const void *a, const void *b)
{
    const struct placement *x = a, *y = b;
    int order = strcmp(x->shard, y->shard);
    return order ? order : strcmp(x->name, y->name);
}

static const struct hf_entry *find_entry(const struct hf_tensors *t, const char *name)
{
    struct hf_entry key = {.tensor = {.name = name}};
    if (!t->entries.count) return NULL;
    return bsearch(&key, t->entries.items, t->entries.count, sizeof key, hf_entry_compare);
}

static void free_entry(struct hf_entry *entry)
{
    mem_free((void *)(uintptr_t)entry->tensor.name);
}

// A plain file name: nothing that could lead out of the folder.
static bool is_plain_name(const char *name)
{
    return *name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && !strpbrk(name, "/\\:");
}

// Reads weight_map into `places`, sorted by shard.
static bool read_index(const cJSON *index, struct placements *places)
{
    const cJSON *map = cJSON_IsObject(index) ? json_get(index, "weight_map") : NULL;
    if (!cJSON_IsObject(map)) return err_user("weight_map: expected an object of names and shards");
    for (const cJSON *item = map->child; item; item = item->next) {
        if (!cJSON_IsString(item))
            return err_user("weight_map: the shard of \"%.128s\" is not a string", item->string);
        if (!is_plain_name(item->valuestring))
            return err_user(
                "weight_map: the shard \"%.128s\" of \"%.128s\" is not a plain file name",
                item->valuestring, item->string);
        struct placement place = {item->string, item->valuestring};
        ARRAY_PUSH(places, place);
    }
    if (!places->count) return err_user("weight_map names no tensors");
    qsort(places->items, places->count, sizeof *places->items, compare_by_shard);
    return true;
}

// Opens every distinct shard that `places` names.
static bool open_shards(struct hf_tensors *t, const char *dir, const struct placements *places)
{
    size_t count = 0;
    for (size_t i = 0; i < places->count; i++)
        count += i == 0 || strcmp(places->items[i].shard, places->items[i - 1].shard) != 0;
    if (count > MAX_SHARDS)
        return err_user("it names %zu shards; at most %d are read", count, MAX_SHARDS);
    t->shards = MEM_ARRAY(struct shard, count);
    for (size_t i = 0; i < places->count; i++) {
        if (i && strcmp(places->items[i].shard, places->items[i - 1].shard) == 0) continue;
        struct shard *shard = &t->shards[t->shard_count++];
        shard->path = file_join(dir, places->items[i].shard);
        if (!file_exists(shard->path) || file_is_dir(shard->path))
            return err_user("it names the shard \"%.128s\", which is not in the folder",
                            places->items[i].shard);
        if (!hf_file_open(&shard->map, shard->path, &t->entries, NULL)) return false;
    }
    return true;
}

// Every name once among the shards, and every placement where the index says.
static bool check_placements(struct hf_tensors *t, const char *dir, const struct placements *places)
{
    const struct hf_entry *items = t->entries.items;
    for (size_t i = 1; i < t->entries.count; i++)
        if (strcmp(items[i].tensor.name, items[i - 1].tensor.name) == 0)
            return err_user("tensor \"%.128s\" is in two shards, %s and %s", items[i].tensor.name,
                            items[i - 1].tensor.file, items[i].tensor.file);
    for (size_t i = 0; i < places->count; i++) {
        const struct placement *place = &places->items[i];
        const struct hf_entry *entry = find_entry(t, place->name);
        char *path = file_join(dir, place->shard);
        bool ok = entry && strcmp(entry->tensor.file, path) == 0;
        mem_free(path);
        if (!ok)
            return err_user("tensor \"%.128s\" should be in shard %s, which lacks it", place->name,
                            place->shard);
    }
    return true;
}

static bool open_sharded(struct hf_tensors *t, const char *dir, const char *index_path)
{
    struct placements places = {0};
    cJSON *index = json_parse_file(index_path, 0);
    bool ok = false;
    if (!index) return false; // the message names the file already
    ok = read_index(index, &places) && open_shards(t, dir, &places);
    if (ok) {
        if (t->entries.count)
            qsort(t->entries.items, t->entries.count, sizeof *t->entries.items, hf_entry_compare);
        ok = check_placements(t, dir, &places);
    }
    if (!ok) err_context("%s", index_path);
    ARRAY_FREE(&places);
    cJSON_Delete(index);
    return ok;
}

static bool open_single(struct hf_tensors *t, const char *path)
{
    t->shards = MEM_NEW(struct shard);
    t->shard_count = 1;
    t->shards[0].path = mem_strdup(path);
    return hf_file_open(&t->shards[0].map, t->shards[0].path, &t->entries, &t->metadata);
}

static bool open_folder(struct hf_tensors *t, const char *dir)
{
    char *single = file_join(dir, "model.safetensors");
    char *index = file_join(dir, "model.safetensors.index.json");
    bool ok;
    if (file_exists(single))
        ok = open_single(t, single);
    else if (file_exists(index))
        ok = open_sharded(t, dir, index);
    else
        ok = err_user(
            "%s: holds neither model.safetensors nor model.safetensors.index.json; weights "
            "are read from safetensors files only",
            dir);
    mem_free(single);
    mem_free(index);
    return ok;
}

// Drops the tensors of dtypes that are not listed; the order stays.
static void keep_listed(struct hf_entries *entries)
{
    size_t kept = 0;
    for (size_t i = 0; i < entries->count; i++) {
        if (entries->items[i].listed)
            entries->items[kept++] = entries->items[i];
        else
            free_entry(&entries->items[i]);
    }
    entries->count = kept;
}

struct hf_tensors *hf_tensors_open(const char *path)
{
    struct hf_tensors *t = MEM_NEW(struct hf_tensors);
    t->path = mem_strdup(path);
    if (!(file_is_dir(path) ? open_folder(t, path) : open_single(t, path))) goto fail;
    keep_listed(&t->entries);
    return t;
fail:
    hf_tensors_close(t);
    return NULL;
}

void hf_tensors_close(struct hf_tensors *t)
{
    if (!t) return;
    for (size_t i = 0; i < t->entries.count; i++)
        free_entry(&t->entries.items[i]);
    ARRAY_FREE(&t->entries);
    for (size_t i = 0; i < t->metadata.count; i++) {
        mem_free(t->metadata.items[i].key);
        mem_free(t->metadata.items[i].value);
    }
    ARRAY_FREE(&t->metadata);
    for (size_t i = 0; i < t->shard_count; i++) {
        file_map_close(&t->shards[i].map);
        mem_free(t->shards[i].path);
    }
    mem_free(t->shards);
    mem_free(t->path);
    mem_free(t);
}

size_t hf_tensors_count(const struct hf_tensors *t)
{
    return t->entries.count;
}

const struct hf_tensor *hf_tensors_at(const struct hf_tensors *t, size_t i)
{
    CHECK(i < t->entries.count);
    return &t->entries.items[i].tensor;
}

const struct hf_tensor *hf_tensors_find(const struct hf_tensors *t, const char *name)
{
    const struct hf_entry *entry = find_entry(t, name);
    return entry ? &entry->tensor : NULL;
}

const char *hf_tensors_path(const struct hf_tensors *t)
{
    return t->path;
}

const char *hf_tensors_metadata(const struct hf_tensors *t, const char *key)
{
    for (size_t i = 0; i < t->metadata.count; i++)
        if (strcmp(t->metadata.items[i].key, key) == 0) return t->metadata.items[i].value;
    return NULL;
}
