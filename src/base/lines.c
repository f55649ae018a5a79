#include "error.h"
#include "file.h"
#include "mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

// zlib's inflate and not its gzread: gzread passes silently over whatever follows a gzip member and
// does not begin like another one, so that damage there would look like the end of the data.

enum { INPUT_SIZE = 1 << 18 };
static const size_t MAX_LINE = (size_t)256 << 20;

struct source {
    FILE *stream;
    z_stream inflater;
    bool gzip, in_member; // in_member: between a member's first byte and its checked end
    bool at_end;          // of the file
    size_t start, end;    // of the text not yet returned, in file_lines.buffer
    unsigned char input[INPUT_SIZE];
};

static bool refill_input(struct file_lines *f, struct source *s)
{
    if (s->inflater.avail_in > 0 || s->at_end) return true;
    size_t got = fread(s->input, 1, INPUT_SIZE, s->stream);
    if (got < INPUT_SIZE) {
        if (ferror(s->stream)) return err_device("%s: cannot read: %s", f->path, strerror(errno));
        s->at_end = true;
    }
    s->inflater.next_in = s->input;
    s->inflater.avail_in = (uInt)got;
    return true;
}

bool file_lines_open(struct file_lines *f, const char *path)
{
    *f = (struct file_lines){0};
    if (file_is_dir(path)) return err_user("%s: a folder, where a file is needed", path);
    FILE *stream = fopen(path, "rb");
    if (!stream)
        return err_set(errno == ENOENT || errno == ENOTDIR ? ERR_USER : ERR_DEVICE,
                       "%s: cannot open: %s", path, strerror(errno));
    struct source *s = MEM_NEW(struct source);
    s->stream = stream;
    f->gz = s;
    f->path = mem_strdup(path);
    if (!refill_input(f, s)) {
        file_lines_close(f);
        return false;
    }
    s->gzip = s->inflater.avail_in >= 2 && s->input[0] == 0x1F && s->input[1] == 0x8B;
    if (s->gzip) {
        int code = inflateInit2(&s->inflater, 15 + 16); // 16: gzip header and checksum
        CHECK(code == Z_OK);
    }
    return true;
}

// Between members: zero bytes may pad the file, anything else must begin another member.
static bool begin_member(struct file_lines *f, struct source *s)
{
    while (s->inflater.avail_in > 0 && *s->inflater.next_in == 0) {
        s->inflater.next_in++;
        s->inflater.avail_in--;
    }
    if (s->inflater.avail_in == 0) return true;
    if (*s->inflater.next_in != 0x1F)
        return err_user("%s: damaged: there is something else after the gzip data", f->path);
    CHECK(inflateReset(&s->inflater) == Z_OK);
    s->in_member = true;
    return true;
}

static bool inflate_some(struct file_lines *f, struct source *s, size_t *got)
{
    if (!s->in_member && !begin_member(f, s)) return false;
    if (!s->in_member) return true;
    if (s->inflater.avail_in == 0 && s->at_end)
        return err_user("%s: the gzip data is cut off in or after line %zu; "
                        "copy or download the file again",
                        f->path, f->number + 1);
    size_t room = f->capacity - s->end;
    s->inflater.next_out = (Bytef *)f->buffer + s->end;
    s->inflater.avail_out = room < INPUT_SIZE ? (uInt)room : INPUT_SIZE;
    uInt asked = s->inflater.avail_out;
    int code = inflate(&s->inflater, Z_NO_FLUSH);
    if (code == Z_STREAM_END) s->in_member = false;
    // Z_BUF_ERROR: nothing could be done for want of input; the caller brings more.
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
        return err_user("%s: the gzip data is damaged in or after line %zu (%s); "
                        "copy or download the file again",
                        f->path, f->number + 1, s->inflater.msg ? s->inflater.msg : "zlib error");
    *got = asked - s->inflater.avail_out;
    return true;
}

// Brings more text to the end of the buffer; *got is 0 only at the end of the file.
static bool fill(struct file_lines *f, struct source *s, size_t *got)
{
    if (s->start > 0) {
        memmove(f->buffer, f->buffer + s->start, s->end - s->start);
        s->end -= s->start;
        s->start = 0;
    }
    if (f->capacity - s->end < INPUT_SIZE + 1) { // 1: for a NUL after the last line
        f->capacity = f->capacity ? f->capacity * 2 : 2 * INPUT_SIZE;
        f->buffer = mem_realloc(f->buffer, f->capacity, 1);
    }
    *got = 0;
    while (*got == 0) {
        if (!refill_input(f, s)) return false;
        if (!s->gzip) {
            *got = s->inflater.avail_in;
            memcpy(f->buffer + s->end, s->inflater.next_in, *got);
            s->inflater.avail_in = 0;
        } else if (!inflate_some(f, s, got)) {
            return false;
        }
        if (*got == 0 && s->at_end && s->inflater.avail_in == 0 && !s->in_member) return true;
    }
    s->end += *got;
    return true;
}

bool file_lines_next(struct file_lines *f, const char **line, size_t *len)
{
    struct source *s = f->gz;
    CHECK(s);
    size_t searched = s->start;
    char *newline;
    *line = NULL;
    *len = 0;
    while (!(newline = s->end > searched ? memchr(f->buffer + searched, '\n', s->end - searched)
                                         : NULL)) {
        size_t before = s->end - s->start, got;
        if (before > MAX_LINE)
            return err_user("%s:%zu: the line is longer than 256 MiB", f->path, f->number + 1);
        if (!fill(f, s, &got)) return false;
        searched = s->start + before;
        if (got > 0) continue;
        if (before == 0) return true; // the end
        newline = f->buffer + s->end; // of a last line without one
        s->end++;
        break;
    }
    char *text = f->buffer + s->start;
    size_t length = (size_t)(newline - text);
    s->start += length + 1;
    if (length > MAX_LINE)
        return err_user("%s:%zu: the line is longer than 256 MiB", f->path, f->number + 1);
    if (length > 0 && text[length - 1] == '\r') length--;
    text[length] = '\0';
    f->number++;
    *line = text;
    *len = length;
    return true;
}

void file_lines_close(struct file_lines *f)
{
    struct source *s = f->gz;
    if (s) {
        if (s->gzip) inflateEnd(&s->inflater);
        fclose(s->stream);
        mem_free(s);
    }
    mem_free(f->path);
    mem_free(f->buffer);
    *f = (struct file_lines){0};
}
