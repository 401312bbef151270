# Building real CUDA programs: device code to PTX by clang, which needs no toolkit, and whole programs by nvcc where found.

set(TESSERA_PROGRAM_DIR "${CMAKE_BINARY_DIR}/programs")

find_program(TESSERA_CLANG NAMES clang clang-19 clang-18 clang-17 clang-16 clang-15 clang-14)
if(NOT TESSERA_CLANG)
  message(STATUS "clang not found: CUDA driver programs are skipped")
endif()

find_program(TESSERA_NVCC nvcc HINTS "$ENV{CUDA_HOME}/bin" /usr/local/cuda/bin)
if(TESSERA_NVCC)
  get_filename_component(nvcc_dir "${TESSERA_NVCC}" DIRECTORY)
  find_library(TESSERA_CUDART cudart HINTS "${nvcc_dir}/../lib64" /usr/local/cuda/lib64)
  get_filename_component(TESSERA_CUDART_DIR "${TESSERA_CUDART}" DIRECTORY)
else()
  message(STATUS "nvcc not found: CUDA runtime programs are skipped")
endif()

# tessera_ptx(name source [TARGET sm_70] [ISA ptx63]): an object library that embeds the PTX of `source` as the zero-terminated text `<name>_ptx`.
# Multiply and add are not fused, so that a host compiled the same way computes the same bits.
# A second call with the same name is the same library.
function(tessera_ptx name source)
  if(TARGET ${name}_ptx)
    return()
  endif()
  cmake_parse_arguments(ARG "" "TARGET;ISA" "" ${ARGN})
  if(NOT ARG_TARGET)
    set(ARG_TARGET sm_70)
    set(ARG_ISA ptx63)
  endif()
  get_filename_component(source "${source}" ABSOLUTE)
  set(ptx "${CMAKE_BINARY_DIR}/ptx/${name}.ptx")
  set(embedding "${CMAKE_BINARY_DIR}/ptx/${name}_ptx.cc")
  add_custom_command(
    OUTPUT "${ptx}"
    COMMAND "${TESSERA_CLANG}" -x cuda --cuda-path=/nonexistent --cuda-device-only -nocudainc -nocudalib
            --cuda-gpu-arch=${ARG_TARGET} -Xclang -target-feature -Xclang +${ARG_ISA} -std=c++17 -O2 -ffp-contract=off
            -Wall -Wextra -Werror -MD -MF "${ptx}.d" -MT "${ptx}" -S "${source}" -o "${ptx}"
    DEPENDS "${source}" DEPFILE "${ptx}.d" COMMENT "PTX ${name}" VERBATIM)
  file(CONFIGURE OUTPUT "${embedding}" @ONLY CONTENT [[
asm(".section .rodata\n.global @name@_ptx\n@name@_ptx:\n.incbin \"@ptx@\"\n.byte 0\n.previous");
]])
  set_source_files_properties("${embedding}" PROPERTIES OBJECT_DEPENDS "${ptx}")
  add_library(${name}_ptx OBJECT "${embedding}")
endfunction()

# tessera_driver_program(name SOURCES ... PTX ...): a host program on the driver API with embedded PTX. It names
# libcuda.so.1 and carries no path to it: which driver answers is decided where it runs, as with any CUDA program.
function(tessera_driver_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;PTX" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  foreach(ptx ${ARG_PTX})
    target_sources(${name} PRIVATE $<TARGET_OBJECTS:${ptx}_ptx>)
  endforeach()
  target_link_libraries(${name} PRIVATE tessera_flags tessera_cuda_abi softgpu_cuda)
  target_compile_options(${name} PRIVATE -ffp-contract=off)
  set_target_properties(${name} PROPERTIES SKIP_BUILD_RPATH TRUE RUNTIME_OUTPUT_DIRECTORY "${TESSERA_PROGRAM_DIR}")
endfunction()

# tessera_nvcc_program(name source [OTHERS sources] [CUDART static shared] [OPTIONS ...]): compiled once, with other
# translation units where it has them, linked into `<name>.static` and `<name>.shared`. A shared cudart is found by run path; the driver below it is not. Appends the programs to
# TESSERA_NVCC_PROGRAMS of the caller.
function(tessera_nvcc_program name source)
  cmake_parse_arguments(ARG "" "" "OTHERS;CUDART;OPTIONS" ${ARGN})
  if(NOT ARG_CUDART)
    set(ARG_CUDART static shared)
  endif()
  file(MAKE_DIRECTORY "${TESSERA_PROGRAM_DIR}")
  set(objects)
  foreach(unit "${source}" ${ARG_OTHERS})
    get_filename_component(unit "${unit}" ABSOLUTE)
    set(object "${TESSERA_PROGRAM_DIR}/${name}.o")
    if(objects)
      get_filename_component(unit_name "${unit}" NAME_WE)
      set(object "${TESSERA_PROGRAM_DIR}/${name}.${unit_name}.o")
    endif()
    add_custom_command(
      OUTPUT "${object}"
      COMMAND "${TESSERA_NVCC}" -std=c++17 -O2 -Xcompiler -Wall,-Wextra,-Werror,-ffp-contract=off -Werror all-warnings
              ${ARG_OPTIONS} -MD -MF "${object}.d" -c "${unit}" -o "${object}"
      DEPENDS "${unit}" DEPFILE "${object}.d" COMMENT "nvcc ${name}" VERBATIM)
    list(APPEND objects "${object}")
  endforeach()
  set(programs)
  foreach(cudart ${ARG_CUDART})
    set(program "${TESSERA_PROGRAM_DIR}/${name}.${cudart}")
    set(run_path)
    if(cudart STREQUAL shared)
      set(run_path -Xlinker "-rpath=${TESSERA_CUDART_DIR}")
    endif()
    add_custom_command(
      OUTPUT "${program}"
      COMMAND "${TESSERA_NVCC}" ${ARG_OPTIONS} --cudart ${cudart} ${objects} -o "${program}" ${run_path}
      DEPENDS ${objects} COMMENT "nvcc ${name}, ${cudart} cudart" VERBATIM)
    list(APPEND programs "${program}")
  endforeach()
  add_custom_target(cuda_${name} ALL DEPENDS ${programs})
  set(TESSERA_NVCC_PROGRAMS ${TESSERA_NVCC_PROGRAMS} ${programs} PARENT_SCOPE)
endfunction()

# tessera_program_tests(name program [ARGS ...] [RUN_ARGS ...] [DEVICES count]): the program straight on the software GPU,
# and in a slice of it. ARGS go to the first, RUN_ARGS to the second. DEVICES: both have so many, all in the slice.
function(tessera_program_tests name program)
  cmake_parse_arguments(ARG "" "DEVICES" "ARGS;RUN_ARGS" ${ARGN})
  add_test(NAME direct.${name} COMMAND "${program}" ${ARG_ARGS})
  set_tests_properties(direct.${name} PROPERTIES ENVIRONMENT "LD_LIBRARY_PATH=${TESSERA_LIB_DIR}/softgpu")
  set(tests direct.${name})
  set(gpus)
  if(ARG_DEVICES)
    math(EXPR last "${ARG_DEVICES} - 1")
    foreach(index RANGE ${last})
      list(APPEND gpus ${index})
    endforeach()
    list(JOIN gpus "," gpus)
    set(gpus --gpu ${gpus})
  endif()
  if(TARGET tessera)
    add_test(NAME run.${name}
             COMMAND "${TESSERA_BIN_DIR}/tessera" run --mem 1GiB ${gpus} -- "${program}" ${ARG_RUN_ARGS})
    list(APPEND tests run.${name})
  endif()
  if(ARG_DEVICES)  # and a daemon that knows of them
    set_property(TEST ${tests} APPEND PROPERTY ENVIRONMENT "SOFTGPU_DEVICES=${ARG_DEVICES}"
                 "TESSERA_SOCKET=${CMAKE_BINARY_DIR}/with-${ARG_DEVICES}-gpus.sock")
  endif()
  set_tests_properties(${tests} PROPERTIES LABELS e2e TIMEOUT 120 SKIP_RETURN_CODE 77)
endfunction()

# tessera_plain_driver_tests(names ...): the programs of tessera_program_tests(), in slices of a driver that has none of
# the tables by which the software GPU can be measured and held up: launches wait at the gate then, as on NVIDIA's.
function(tessera_plain_driver_tests)
  foreach(name ${ARGN})
    add_test(NAME run.${name}.plain_driver
             COMMAND "${TESSERA_BIN_DIR}/tessera" run --mem 1GiB -- "${TESSERA_PROGRAM_DIR}/${name}")
    set_tests_properties(run.${name}.plain_driver PROPERTIES LABELS e2e TIMEOUT 120 SKIP_RETURN_CODE 77
                         ENVIRONMENT "SOFTGPU_OWN_TABLES=off;TESSERA_SOCKET=${CMAKE_BINARY_DIR}/plain-driver.sock")
  endforeach()
endfunction()
