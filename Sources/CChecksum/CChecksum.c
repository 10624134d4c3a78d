#include "CChecksum.h"
uint32_t cairn_crc32c(uint32_t crc, const void *data, size_t size) { return 0; }
uint32_t cairn_crc32c_table(uint32_t crc, const void *data, size_t size) { return 0; }
uint32_t cairn_crc32c_copy(uint32_t crc, void *to, const void *from, size_t size) { return 0; }
uint32_t cairn_crc24q(const void *data, size_t size) { return 0; }
