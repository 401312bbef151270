# The handler files are compiled once per instruction set, each time in its own namespace; handler_table.cc chooses.
set(handler_sources
  access.cc async_copy.cc atomic.cc bits.cc carry.cc cluster.cc compare.cc convert.cc float.cc float8.cc float_math.cc half.cc integer.cc
  matrix.cc matrix_memory.cc mbarrier.cc memory.cc moves.cc shuffle.cc tables.cc video.cc)
list(TRANSFORM handler_sources PREPEND "${CMAKE_CURRENT_LIST_DIR}/")

# -O3 in every build type: these loops are written for the vectoriser. IEEE arithmetic stays exact; -fno-trapping-math and
# -fno-math-errno only say that nobody looks at the exception flags or errno.
set(handler_flags -O3 -fno-strict-aliasing -ffp-contract=off -fno-math-errno -fno-trapping-math -fwrapv)
# Races between threads of a kernel are the kernel's own; ThreadSanitizer has nothing to say here.
if(TESSERA_SANITIZE MATCHES "thread")
  list(APPEND handler_flags -fno-sanitize=thread)
endif()

set(handler_objects)
function(softgpu_handlers isa)
  add_library(softgpu_handlers_${isa} OBJECT ${handler_sources})
  target_link_libraries(softgpu_handlers_${isa} PRIVATE tessera_flags)
  target_compile_definitions(softgpu_handlers_${isa} PRIVATE TESSERA_ISA=isa_${isa})
  target_compile_options(softgpu_handlers_${isa} PRIVATE ${handler_flags} ${ARGN})
  set(handler_objects ${handler_objects} $<TARGET_OBJECTS:softgpu_handlers_${isa}> PARENT_SCOPE)
endfunction()

softgpu_handlers(base)
if(TESSERA_WIDE_HANDLERS AND CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  softgpu_handlers(v3 -march=x86-64-v3)
  softgpu_handlers(v4 -march=x86-64-v4 -mprefer-vector-width=512)
  set(handler_definitions TESSERA_HAVE_ISA_V3)
endif()
