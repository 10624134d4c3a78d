#ifndef CAIRN_CURING_H
#define CAIRN_CURING_H
#include <liburing.h>
#endif
