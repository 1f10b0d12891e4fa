/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* System.map: a line per symbol, "ffffffff81000000 T _text". */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <vmm/symbols.h>

/* What is left of a line, or of the file. */
struct text {
    const char *at, *end;
};

static struct text next_line(struct text *file)
{
    const char *end = memchr(file->at, '\n', (size_t)(file->end - file->at));
    struct text line = {file->at, end ? end : file->end};

    file->at = end ? end + 1 : file->end;
    return line;
}

/* The next word up to a blank; empty at the line's end. */
static struct text next_word(struct text *line)
{
    while (line->at < line->end && memchr(" \t\r", *line->at, 3))
        line->at++;
    struct text word = {line->at, line->at};
    while (word.end < line->end && !memchr(" \t\r", *word.end, 3))
        word.end++;
    line->at = word.end;
    return word;
}

static size_t bytes_of(struct text text)
{
    return (size_t)(text.end - text.at);
}

/* 1 to 16 hexadecimal digits. */
static int parse_address(struct text word, uint64_t *address)
{
    static const char digits[] = "0123456789abcdef";

    *address = 0;
    if (!bytes_of(word) || bytes_of(word) > 16)
        return -1;
    for (; word.at < word.end; word.at++) {
        const char *digit = memchr(digits, *word.at | 0x20, 16);
        if (!digit)
            return -1;
        *address = *address << 4 | (uint64_t)(digit - digits);
    }
    return 0;
}

static int add_line(struct vmm_symbols *symbols, struct text line,
                    uint64_t slide, struct vmm_error *err)
{
    struct text address = next_word(&line), type = next_word(&line),
                name = next_word(&line), module = next_word(&line);
    uint64_t value;

    if (parse_address(address, &value) || bytes_of(type) != 1 ||
        !bytes_of(name) || memchr(name.at, '\0', bytes_of(name)) ||
        (bytes_of(module) && *module.at != '['))
        return -ENOEXEC;
    if (*type.at == 'A' || *type.at == 'a')
        slide = 0;
    return vmm_symbols_add(symbols, value + slide, 0, *type.at, name.at,
                           bytes_of(name), err);
}

int vmm_symbols_add_map(struct vmm_symbols *symbols,
                        const struct vmm_image *image, uint64_t slide,
                        struct vmm_error *err)
{
    const char *bytes = (const char *)image->bytes;
    struct text file = {bytes, bytes + image->size_bytes};
    size_t number = 1;

    vmm_error_clear(err);
    for (; file.at < file.end; number++) {
        struct text line = next_line(&file);
        if (line.at == line.end)
            continue;
        int ret = add_line(symbols, line, slide, err);
        if (ret == -ENOEXEC)
            return vmm_error_set(
                err, ENOEXEC, "%s: line %zu is not \"address type name\"%s",
                image->name, number,
                number == 1 && memmem(line.at, bytes_of(line), "-dbg", 4)
                    ? " (Debian's System.map is a stub: load the guest's own)"
                    : "");
        if (ret)
            return ret;
    }
    return 0;
}
