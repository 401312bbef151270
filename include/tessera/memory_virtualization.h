/* Tessera: device memory that may be more than a GPU has. C89 and C++.
 *
 * A space hands out addresses on a GPU. What is behind them is on the GPU while the program says that it uses it
 * (tessera_memory_acquire to tessera_memory_release), and otherwise where there is room: on the GPU or in the
 * host's memory. Addresses never change.
 *
 *     tessera_memory_space *space;
 *     uint64_t matrix;
 *     if (tessera_memory_space_create(NULL, &space) != TESSERA_MEMORY_OK ||
 *         tessera_memory_allocate(space, bytes, &matrix) != TESSERA_MEMORY_OK)
 *       fprintf(stderr, "%s\n", tessera_memory_message());
 *     tessera_memory_write(space, matrix, data, bytes);
 *     tessera_memory_acquire(space, &matrix, 1);
 *     ... launch kernels on it, in the device's primary context, as programs on CUDA's runtime do ...
 *     tessera_memory_release(space, &matrix, 1);
 *
 * GPUs have no faults that a program could wait on, so a kernel that touches a block that is not acquired may
 * touch nothing at all (CUDA_ERROR_ILLEGAL_ADDRESS), or memory as it was. A block may be released as soon as
 * the work that uses it has been given to the device: before anything leaves the device, its work is waited for.
 *
 * The driver is found at run time: the program's own libcuda.so.1, which is Tessera's in a slice and keeps its
 * limit; without one, the driver that `tessera doctor` names, which may be the software GPU.
 *
 * Every function is safe to call from any thread, but for tessera_memory_space_destroy, which must be the last
 * one for its space. One thread at a time is inside a space, also while memory is copied. No function throws, and
 * none may be called in a child of fork() with a space of its parent.
 */
#ifndef TESSERA_MEMORY_VIRTUALIZATION_H
#define TESSERA_MEMORY_VIRTUALIZATION_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TESSERA_MEMORY_VERSION 1

typedef enum tessera_memory_status {
  TESSERA_MEMORY_OK = 0,
  TESSERA_MEMORY_INVALID_ARGUMENT = 1,
  TESSERA_MEMORY_NOT_FOUND = 2,        /* no block is there, no such driver, no such GPU */
  TESSERA_MEMORY_EXHAUSTED = 3,        /* the GPU, its slice or the host has no more memory */
  TESSERA_MEMORY_WRONG_STATE = 4,      /* as freeing what is acquired */
  TESSERA_MEMORY_UNSUPPORTED = 5,      /* the driver or the GPU cannot do it */
  TESSERA_MEMORY_UNAVAILABLE = 6,      /* the driver or the daemon does not answer */
  TESSERA_MEMORY_FAILED = 7            /* the driver failed; the message has its error */
} tessera_memory_status;

/* Stable name, as "exhausted". */
const char *tessera_memory_status_name(tessera_memory_status status);
/* What went wrong in this thread's last call that failed, and what to do about it; until its next one. */
const char *tessera_memory_message(void);
/* TESSERA_MEMORY_VERSION of the library. Later versions only add. */
int tessera_memory_version(void);

typedef struct tessera_memory_space tessera_memory_space;

typedef struct tessera_memory_options {
  size_t size;           /* sizeof(tessera_memory_options); what lies behind it is taken as 0 */
  const char *driver;    /* NULL: as above; "nvidia", "software", or the absolute path of a libcuda.so.1 */
  int device;            /* ordinal */
  uint64_t device_bytes; /* at most so much is on the GPU at once; 0: what it gives */
} tessera_memory_options;

/* options: NULL is all zeros. */
tessera_memory_status tessera_memory_space_create(const tessera_memory_options *options,
                                                  tessera_memory_space **space);
/* With all blocks. The GPU must not use them any more. NULL is ignored. */
void tessera_memory_space_destroy(tessera_memory_space *space);

/* A block, aligned to 512 bytes. Memory comes with the first acquire or write. */
tessera_memory_status tessera_memory_allocate(tessera_memory_space *space, uint64_t bytes, uint64_t *address);
/* Waits for the GPU. The block must not be acquired. */
tessera_memory_status tessera_memory_free(tessera_memory_space *space, uint64_t address);

/* All of the blocks that begin at the addresses are on the GPU, and stay until each has been released as often
 * as it was acquired; or none is acquired. TESSERA_MEMORY_EXHAUSTED: they do not fit beside what is acquired. */
tessera_memory_status tessera_memory_acquire(tessera_memory_space *space, const uint64_t *addresses, size_t count);
tessera_memory_status tessera_memory_release(tessera_memory_space *space, const uint64_t *addresses, size_t count);

typedef enum tessera_memory_advice {
  TESSERA_MEMORY_ADVISE_NORMAL = 0,
  TESSERA_MEMORY_ADVISE_KEEP = 1,     /* leaves the GPU after all others */
  TESSERA_MEMORY_ADVISE_GO_FIRST = 2  /* leaves the GPU before all others */
} tessera_memory_advice;
/* About a block that begins there. Small blocks share memory: of those the last word counts. */
tessera_memory_status tessera_memory_advise(tessera_memory_space *space, uint64_t address,
                                            tessera_memory_advice advice);

typedef enum tessera_memory_place { TESSERA_MEMORY_DEVICE = 0, TESSERA_MEMORY_HOST = 1 } tessera_memory_place;
/* Now, rather than when it is needed. To the host only what is not acquired, with other small blocks perhaps. */
tessera_memory_status tessera_memory_migrate(tessera_memory_space *space, uint64_t address,
                                             tessera_memory_place place);

/* Bytes within one block, from any address in it, wherever the block is. Memory of a new block holds what it
 * happens to hold. */
tessera_memory_status tessera_memory_write(tessera_memory_space *space, uint64_t address, const void *from,
                                           uint64_t bytes);
tessera_memory_status tessera_memory_read(tessera_memory_space *space, uint64_t address, void *to,
                                          uint64_t bytes);

typedef struct tessera_memory_block {
  size_t size; /* sizeof(tessera_memory_block), set by the caller */
  uint64_t address;
  uint64_t bytes;
  uint64_t device_bytes; /* of these, on the GPU now */
  uint32_t acquired;     /* times */
  tessera_memory_advice advice;
} tessera_memory_block;
/* The block that holds the address. */
tessera_memory_status tessera_memory_query(tessera_memory_space *space, uint64_t address,
                                           tessera_memory_block *block);

typedef struct tessera_memory_figures {
  size_t size; /* sizeof(tessera_memory_figures), set by the caller */
  uint64_t blocks;
  uint64_t allocated_bytes;
  uint64_t device_bytes;         /* of the GPU's memory, in units that the driver maps */
  uint64_t host_bytes;           /* of the host's, for what is not on the GPU */
  uint64_t moved_to_device_bytes; /* up to now */
  uint64_t moved_to_host_bytes;
} tessera_memory_figures;
tessera_memory_status tessera_memory_space_query(tessera_memory_space *space, tessera_memory_figures *figures);

#ifdef __cplusplus
}
#endif

#endif
