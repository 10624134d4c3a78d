#include "CChecksum.h"
#include <string.h>

/*
 * CRC-32C: reflected, polynomial 0x1EDC6F41 (0x82F63B78 reflected), initial value and final xor of all ones (RFC 3720,
 * appendix B.4). Three ways, chosen once at start: three interleaved streams of the SSE 4.2 instruction, joined by
 * carry-less multiplication; the ARMv8 instruction; eight tables.
 */

typedef uint32_t (*crc32c_run)(uint32_t crc, uint8_t *to, const uint8_t *from, size_t size);

static uint32_t crc32c_tables[8][256];
static uint32_t crc24q_table[256];
/* x^(8 * 2^n) mod P, reflected: what moves a register over 2^n zero bytes. */
static uint32_t crc32c_moves[8 * sizeof(size_t)];

static const uint32_t crc32c_polynomial = 0x82f63b78;

static inline uint64_t load64(const uint8_t *from) {
    uint64_t word;
    memcpy(&word, from, sizeof word);
    return word;
}

static inline void store64(uint8_t *to, uint64_t word) { memcpy(to, &word, sizeof word); }

static inline uint32_t load32_little(const uint8_t *from) {
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

/* All kernels below work on the inverted register and copy when `to` is not NULL. */

static uint32_t run_table(uint32_t crc, uint8_t *to, const uint8_t *from, size_t size) {
    if (to) memcpy(to, from, size);
    for (; size >= 8; from += 8, size -= 8) {
        uint32_t low = load32_little(from) ^ crc, high = load32_little(from + 4);
        crc = crc32c_tables[7][low & 0xff] ^ crc32c_tables[6][low >> 8 & 0xff] ^
              crc32c_tables[5][low >> 16 & 0xff] ^ crc32c_tables[4][low >> 24] ^
              crc32c_tables[3][high & 0xff] ^ crc32c_tables[2][high >> 8 & 0xff] ^
              crc32c_tables[1][high >> 16 & 0xff] ^ crc32c_tables[0][high >> 24];
    }
    for (; size; size--) crc = crc >> 8 ^ crc32c_tables[0][(crc ^ *from++) & 0xff];
    return crc;
}

#if defined(__x86_64__)
#include <nmmintrin.h>
#include <wmmintrin.h>

#define KERNEL __attribute__((target("sse4.2,pclmul")))

/*
 * Moves a register over a number of zero bytes: `power` is x^(8 * bytes - 33) mod P, reflected. The 33 are the factor x
 * that a product of two reflected 32-bit values gains, and the factor x^32 of the crc32 instruction that reduces it.
 */
KERNEL static inline uint32_t shift(uint32_t crc, uint32_t power) {
    __m128i product = _mm_clmulepi64_si128(_mm_cvtsi32_si128((int)crc), _mm_cvtsi32_si128((int)power), 0);
    return (uint32_t)_mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

/* Three streams of `stride` bytes side by side hide the three cycles that one crc32 instruction takes. */
#define THREE_STREAMS(stride, one_stride, two_strides)                                                                 \
    while (size >= 3 * (stride)) {                                                                                     \
        uint64_t first = crc, second = 0, third = 0;                                                                   \
        for (size_t at = 0; at < (stride); at += 8) {                                                                  \
            first = _mm_crc32_u64(first, load64(from + at));                                                           \
            second = _mm_crc32_u64(second, load64(from + at + (stride)));                                              \
            third = _mm_crc32_u64(third, load64(from + at + 2 * (stride)));                                            \
        }                                                                                                              \
        crc = shift((uint32_t)first, two_strides) ^ shift((uint32_t)second, one_stride) ^ (uint32_t)third;             \
        from += 3 * (stride);                                                                                          \
        size -= 3 * (stride);                                                                                          \
    }

KERNEL static inline uint32_t sse42(uint32_t crc, const uint8_t *from, size_t size) {
    THREE_STREAMS((size_t)4096, 0x82f89c77, 0x54a86326)
    THREE_STREAMS((size_t)128, 0x0d3b6092, 0xb9e02b86)
    for (; size >= 8; from += 8, size -= 8) crc = (uint32_t)_mm_crc32_u64(crc, load64(from));
    for (; size; size--) crc = _mm_crc32_u8(crc, *from++);
    return crc;
}

/* A piece is copied and then summed while the first-level cache has it: 15 GB/s, where storing word by word between the
   sums made 10 (Xeon of 2023). */
enum { PIECE = 3 * 4096 };

KERNEL static uint32_t run_hardware(uint32_t crc, uint8_t *to, const uint8_t *from, size_t size) {
    if (!to) return sse42(crc, from, size);
    while (size > 0) {
        size_t piece = size < PIECE ? size : PIECE;
        memcpy(to, from, piece);
        crc = sse42(crc, from, piece);
        to += piece;
        from += piece;
        size -= piece;
    }
    return crc;
}

static int has_hardware(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
}

#elif defined(__aarch64__)
#if defined(__linux__)
#include <sys/auxv.h>
#endif

__attribute__((target("crc"))) static uint32_t
run_hardware(uint32_t crc, uint8_t *to, const uint8_t *from, size_t size) {
    for (; size >= 8; from += 8, size -= 8) {
        uint64_t word = load64(from);
        if (to) {
            store64(to, word);
            to += 8;
        }
        crc = __builtin_arm_crc32cd(crc, word);
    }
    for (; size; size--) {
        if (to) *to++ = *from;
        crc = __builtin_arm_crc32cb(crc, *from++);
    }
    return crc;
}

static int has_hardware(void) {
#if defined(__linux__)
    return (getauxval(AT_HWCAP) & 1UL << 7) != 0; /* HWCAP_CRC32 */
#else
    return 1; /* every 64-bit ARM of Apple */
#endif
}

#else
#define run_hardware run_table
static int has_hardware(void) { return 0; }
#endif

static crc32c_run run = run_table;

/* The product of two polynomials mod P. Reflected: the highest bit is x^0, and a step to the right multiplies by x. */
static uint32_t product(uint32_t a, uint32_t b) {
    uint32_t sum = 0;
    for (; a; a <<= 1) {
        if (a >> 31) sum ^= b;
        b = b >> 1 ^ (b & 1 ? crc32c_polynomial : 0);
    }
    return sum;
}

/* Before main, so that no caller ever sees half a table. */
__attribute__((constructor)) static void prepare(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte, wide = byte << 16;
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? crc32c_polynomial : 0);
            wide = wide << 1 ^ (wide & 0x800000 ? 0x1864cfbu : 0);
        }
        crc32c_tables[0][byte] = crc;
        crc24q_table[byte] = wide & 0xffffff;
    }
    for (int slice = 1; slice < 8; slice++)
        for (uint32_t byte = 0; byte < 256; byte++) {
            uint32_t before = crc32c_tables[slice - 1][byte];
            crc32c_tables[slice][byte] = before >> 8 ^ crc32c_tables[0][before & 0xff];
        }
    uint32_t move = 0x00800000; /* x^8 */
    for (size_t power = 0; power < sizeof crc32c_moves / sizeof *crc32c_moves; power++) {
        crc32c_moves[power] = move;
        move = product(move, move);
    }
    if (has_hardware()) run = run_hardware;
}

int cairn_crc32c_is_hardware(void) { return run != run_table; }

uint32_t cairn_crc32c(uint32_t crc, const void *data, size_t size) { return ~run(~crc, NULL, data, size); }

uint32_t cairn_crc32c_table(uint32_t crc, const void *data, size_t size) { return ~run_table(~crc, NULL, data, size); }

uint32_t cairn_crc32c_copy(uint32_t crc, void *to, const void *from, size_t size) { return ~run(~crc, to, from, size); }

uint32_t cairn_crc32c_join(uint32_t first, uint32_t second, size_t second_size) {
    for (size_t power = 0; second_size; power++, second_size >>= 1)
        if (second_size & 1) first = product(crc32c_moves[power], first);
    return first ^ second;
}

uint32_t cairn_crc24q(const void *data, size_t size) {
    const uint8_t *from = data;
    uint32_t crc = 0;
    for (; size; size--) crc = (crc << 8 ^ crc24q_table[(crc >> 16 ^ *from++) & 0xff]) & 0xffffff;
    return crc;
}
