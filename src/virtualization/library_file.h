// What a file on disk is, as far as choosing a driver library goes; read without loading it.
#pragma once

#include <cstdint>
#include <string>

#include "common/bytes.h"

namespace tessera::vgpu {

struct LibraryFile {
  enum class Kind {
    kMissing,  // no such file, or not readable
    kForeign,  // not a shared object for this machine (text, another architecture, 32 bit)
    kGuest,    // a library of Tessera's own guest: loading it as the driver would call ourselves
    kUsable,
  };
  Kind kind = Kind::kMissing;
  uint64_t device = 0;
  uint64_t inode = 0;

  bool same_file(const LibraryFile& other) const { return device == other.device && inode == other.inode; }
};

LibraryFile inspect_library(const std::string& path);

// The part of inspect_library() that looks at bytes: `head` holds the ELF header, the program headers and the
// notes.
LibraryFile::Kind classify_library(ByteSpan head);

}  // namespace tessera::vgpu

// Marks the library it is placed in as a guest of Tessera: a note that classify_library() finds. A file's
// name says nothing (bind mounts), and a symbol would be an export that no driver has.
#define TESSERA_GUEST_NOTE_NAME "Tessera"
#define TESSERA_GUEST_NOTE_TYPE 0x47545354
#define TESSERA_MARK_AS_GUEST()                          \
  __asm__(                                               \
      ".pushsection .note.tessera.guest,\"a\",@note\n\t" \
      ".balign 4\n\t"                                    \
      ".long 8, 0, 0x47545354\n\t"                       \
      ".asciz \"Tessera\"\n\t"                           \
      ".popsection")
