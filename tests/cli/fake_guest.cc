// Stands for the guest's libcuda.so.1: a library with the guest's mark and nothing else.
#include "virtualization/library_file.h"

TESSERA_MARK_AS_GUEST();
