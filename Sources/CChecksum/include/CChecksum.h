#ifndef CAIRN_CCHECKSUM_H
#define CAIRN_CCHECKSUM_H
#include <stddef.h>
#include <stdint.h>
/* CRC-32C (Castagnoli) of `size` bytes, continuing from `crc` (0 to begin). Hardware where the CPU has it. */
uint32_t cairn_crc32c(uint32_t crc, const void *data, size_t size);
/* The same by table, for tests and for CPUs without the instruction. */
uint32_t cairn_crc32c_table(uint32_t crc, const void *data, size_t size);
/* Copies `size` bytes and returns the CRC-32C of them, in one pass over memory. The two areas may not overlap. */
uint32_t cairn_crc32c_copy(uint32_t crc, void *to, const void *from, size_t size);
/* The CRC-32C of two stretches one after the other, from that of each and the size of the second: no byte is read. */
uint32_t cairn_crc32c_join(uint32_t first, uint32_t second, size_t second_size);
/* Not 0 where cairn_crc32c uses instructions of the CPU. */
int cairn_crc32c_is_hardware(void);
/* CRC-24Q of RTCM 3 (polynomial 0x1864CFB, initial 0). */
uint32_t cairn_crc24q(const void *data, size_t size);
#endif
