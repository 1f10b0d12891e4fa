/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* BTF put together by hand, for tests (Documentation/bpf/btf.rst). */
#ifndef TESTS_UNIT_BTF_BYTES_H
#define TESTS_UNIT_BTF_BYTES_H

#include <linux/btf.h>
#include <stdint.h>
#include <string.h>

struct btf_bytes {
    uint32_t types[512];
    size_t type_words;
    char strings[512];
    size_t string_bytes;
    uint32_t last_id;
};

static inline void btf_init(struct btf_bytes *btf)
{
    memset(btf, 0, sizeof(*btf));
    btf->string_bytes = 1; /* the empty one */
}

static inline uint32_t btf_string(struct btf_bytes *btf, const char *text)
{
    uint32_t at = (uint32_t)btf->string_bytes;

    if (!*text)
        return 0;
    strcpy(btf->strings + at, text);
    btf->string_bytes += strlen(text) + 1;
    return at;
}

static inline void btf_word(struct btf_bytes *btf, uint32_t word)
{
    btf->types[btf->type_words++] = word;
}

/* A type; its further words follow.  Returns its id. */
static inline uint32_t btf_add(struct btf_bytes *btf, const char *name,
                               unsigned kind, unsigned vlen, unsigned flag,
                               uint32_t size_or_type)
{
    btf_word(btf, btf_string(btf, name));
    btf_word(btf, flag << 31 | kind << 24 | vlen);
    btf_word(btf, size_or_type);
    return ++btf->last_id;
}

static inline uint32_t btf_integer(struct btf_bytes *btf, const char *name,
                                   uint32_t size, uint32_t encoding)
{
    uint32_t id = btf_add(btf, name, BTF_KIND_INT, 0, 0, size);

    btf_word(btf, encoding << 24 | size * 8);
    return id;
}

static inline uint32_t btf_vector(struct btf_bytes *btf, uint32_t element,
                                  uint32_t index, uint32_t count)
{
    uint32_t id = btf_add(btf, "", BTF_KIND_ARRAY, 0, 0, 0);

    btf_word(btf, element);
    btf_word(btf, index);
    btf_word(btf, count);
    return id;
}

/* offset: in bits, with a bit-field's size in the top byte. */
static inline void btf_member_of(struct btf_bytes *btf, const char *name,
                                 uint32_t type, uint32_t offset)
{
    btf_word(btf, btf_string(btf, name));
    btf_word(btf, type);
    btf_word(btf, offset);
}

/* The whole in one piece; returns its bytes. */
static inline size_t btf_finish(const struct btf_bytes *btf, uint8_t *bytes)
{
    struct btf_header header = {
        .magic = BTF_MAGIC,
        .version = BTF_VERSION,
        .hdr_len = sizeof(header),
        .type_len = (uint32_t)(4 * btf->type_words),
        .str_off = (uint32_t)(4 * btf->type_words),
        .str_len = (uint32_t)btf->string_bytes,
    };

    memcpy(bytes, &header, sizeof(header));
    memcpy(bytes + sizeof(header), btf->types, header.type_len);
    memcpy(bytes + sizeof(header) + header.str_off, btf->strings,
           btf->string_bytes);
    return sizeof(header) + header.str_off + header.str_len;
}

#endif
