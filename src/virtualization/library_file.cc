#include "virtualization/library_file.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "common/fd.h"

namespace tessera::vgpu {
namespace {

// Linkers put headers and notes at the front: within a page in every driver looked at.
constexpr size_t kHeadBytes = 64 * 1024;

#if defined(__x86_64__)
constexpr uint16_t kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr uint16_t kMachine = EM_AARCH64;
#else
#error "no GPU driver is known for this architecture"
#endif

bool notes_mark_guest(ByteSpan notes) {
  constexpr size_t kNameBytes = sizeof(TESSERA_GUEST_NOTE_NAME);
  size_t at = 0;
  while (auto note = read_at<Elf64_Nhdr>(notes, at)) {
    size_t name_at = at + sizeof(Elf64_Nhdr);
    if (note->n_type == TESSERA_GUEST_NOTE_TYPE && note->n_namesz == kNameBytes) {
      auto name = slice_at(notes, name_at, kNameBytes);
      if (name && std::memcmp(name->data(), TESSERA_GUEST_NOTE_NAME, kNameBytes) == 0) return true;
    }
    // Name and contents are each padded to 4 bytes; 64-bit sums cannot overflow on 32-bit sizes.
    at = name_at + ((uint64_t{note->n_namesz} + 3) & ~uint64_t{3}) +
         ((uint64_t{note->n_descsz} + 3) & ~uint64_t{3});
  }
  return false;
}

}  // namespace

LibraryFile::Kind classify_library(ByteSpan head) {
  auto header = read_at<Elf64_Ehdr>(head, 0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return LibraryFile::Kind::kForeign;
  if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_type != ET_DYN || header->e_machine != kMachine) {
    return LibraryFile::Kind::kForeign;
  }
  for (uint64_t i = 0; i < header->e_phnum; ++i) {
    if (header->e_phoff > head.size()) break;
    auto segment = read_at<Elf64_Phdr>(head, header->e_phoff + i * sizeof(Elf64_Phdr));
    if (!segment) break;
    if (segment->p_type != PT_NOTE) continue;
    auto notes = slice_at(head, segment->p_offset, segment->p_filesz);
    if (notes && notes_mark_guest(*notes)) return LibraryFile::Kind::kGuest;
  }
  return LibraryFile::Kind::kUsable;
}

LibraryFile inspect_library(const std::string& path) {
  LibraryFile file;
  UniqueFd opened(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status;
  if (!opened || fstat(opened.get(), &status) != 0) return file;
  file.device = status.st_dev;
  file.inode = status.st_ino;
  file.kind = LibraryFile::Kind::kForeign;
  if (!S_ISREG(status.st_mode)) return file;
  std::vector<std::byte> head(kHeadBytes);
  ssize_t count = pread(opened.get(), head.data(), head.size(), 0);
  if (count > 0) file.kind = classify_library(ByteSpan(head.data(), static_cast<size_t>(count)));
  return file;
}

}  // namespace tessera::vgpu
