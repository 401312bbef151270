/* Blocks that together are larger than what they may have of the GPU at once, over
 * tessera/memory_virtualization.h:
 *
 *     cc memory_space.c -ltessera_memory -o memory_space
 *
 * Each block is filled, brought to the GPU and compared; a CUDA program would launch kernels on it where this
 * one says so. */
#include <stdio.h>
#include <stdlib.h>
#include <tessera/memory_virtualization.h>

#define BLOCKS 6
#define WORDS (1024 * 1024)

static void check(tessera_memory_status status, const char* what) {
  if (status == TESSERA_MEMORY_OK) return;
  fprintf(stderr, "memory_space: %s: %s: %s\n", what, tessera_memory_status_name(status),
          tessera_memory_message());
  exit(1);
}

int main(void) {
  tessera_memory_options options = {0};
  tessera_memory_figures figures = {0};
  tessera_memory_space* space = NULL;
  uint64_t blocks[BLOCKS];
  uint32_t* words = malloc(WORDS * sizeof *words);
  size_t wrong = 0;
  int i, j;

  if (words == NULL) return 1;
  options.size = sizeof options;
  options.device_bytes = (uint64_t)BLOCKS / 2 * WORDS * sizeof *words; /* half of them at a time */
  check(tessera_memory_space_create(&options, &space), "making a space");
  for (i = 0; i < BLOCKS; ++i) {
    check(tessera_memory_allocate(space, WORDS * sizeof *words, &blocks[i]), "allocating");
    for (j = 0; j < WORDS; ++j) words[j] = (uint32_t)(i * WORDS + j);
    check(tessera_memory_write(space, blocks[i], words, WORDS * sizeof *words), "writing");
  }
  check(tessera_memory_advise(space, blocks[0], TESSERA_MEMORY_ADVISE_KEEP), "advising");
  for (i = 0; i < BLOCKS; ++i) {
    check(tessera_memory_acquire(space, &blocks[i], 1), "acquiring");
    /* here kernels would work on it */
    check(tessera_memory_release(space, &blocks[i], 1), "releasing");
  }
  for (i = 0; i < BLOCKS; ++i) {
    check(tessera_memory_read(space, blocks[i], words, WORDS * sizeof *words), "reading");
    for (j = 0; j < WORDS; ++j) wrong += words[j] != (uint32_t)(i * WORDS + j);
  }
  figures.size = sizeof figures;
  check(tessera_memory_space_query(space, &figures), "asking");
  printf("%lu MiB in %lu blocks, %lu MiB of them on the GPU now; %lu words are wrong\n",
         (unsigned long)(figures.allocated_bytes >> 20), (unsigned long)figures.blocks,
         (unsigned long)(figures.device_bytes >> 20), (unsigned long)wrong);
  tessera_memory_space_destroy(space);
  free(words);
  return wrong != 0;
}
