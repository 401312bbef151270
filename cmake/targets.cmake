# Helpers that keep each room's CMakeLists.txt to a list of its files.

# tessera_library(name SOURCES ... [DEPS ...]): a static, position-independent library of one room.
function(tessera_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC tessera_flags Threads::Threads ${ARG_DEPS})
endfunction()

# tessera_embed(target symbol file): the file's bytes and a zero after them, as `extern "C" const char symbol[]` in the target.
function(tessera_embed target symbol file)
  get_filename_component(file "${file}" ABSOLUTE)
  set(embedding "${CMAKE_BINARY_DIR}/embedded/${symbol}.cc")
  file(CONFIGURE OUTPUT "${embedding}" @ONLY CONTENT [[
asm(".section .rodata\n.global @symbol@\n@symbol@:\n.incbin \"@file@\"\n.byte 0\n.previous");
]])
  set_source_files_properties("${embedding}" PROPERTIES OBJECT_DEPENDS "${file}")
  target_sources(${target} PRIVATE "${embedding}")
endfunction()

# tessera_program(name SOURCES ... [DEPS ...]): a program in bin/.
function(tessera_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE tessera_flags Threads::Threads ${ARG_DEPS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${TESSERA_BIN_DIR}")
  install(TARGETS ${name} RUNTIME DESTINATION bin)
endfunction()

# tessera_install_for_users(program section): a program's manual and what shells complete of it.
function(tessera_install_for_users program section)
  set(completions "${CMAKE_SOURCE_DIR}/share/completions")
  install(FILES "${completions}/${program}.bash" DESTINATION share/bash-completion/completions RENAME ${program})
  install(FILES "${completions}/_${program}" DESTINATION share/zsh/site-functions)
  install(FILES "${completions}/${program}.fish" DESTINATION share/fish/vendor_completions.d)
  install(FILES "${CMAKE_SOURCE_DIR}/docs/man/${program}.${section}" DESTINATION "share/man/man${section}")
endfunction()

# tessera_injected_library(target soname DIR dir EXPORTS version-script SOURCES ... DEPS ...): a library that lives in
# strangers' processes. It carries its C++ runtime hidden inside and exports only what the version script names.
function(tessera_injected_library target soname)
  cmake_parse_arguments(ARG "" "DIR;EXPORTS" "SOURCES;DEPS" ${ARGN})
  add_library(${target} SHARED ${ARG_SOURCES})
  target_link_libraries(${target} PRIVATE tessera_flags Threads::Threads ${ARG_DEPS})
  target_link_options(${target} PRIVATE -Wl,--exclude-libs,ALL -Wl,-Bsymbolic -Wl,-z,now
                      -Wl,--version-script=${ARG_EXPORTS})
  if(NOT TESSERA_SANITIZE)
    target_link_options(${target} PRIVATE -static-libstdc++ -static-libgcc -Wl,-z,defs)
  endif()
  get_filename_component(base ${soname} NAME_WE)
  string(REGEX REPLACE "^lib" "" base ${base})
  set_target_properties(${target} PROPERTIES OUTPUT_NAME ${base} SOVERSION 1 LINK_DEPENDS ${ARG_EXPORTS}
                        LIBRARY_OUTPUT_DIRECTORY "${TESSERA_LIB_DIR}/${ARG_DIR}")
endfunction()

# tessera_test(name SOURCES ... [DEPS ...] [LABELS ...]): a GoogleTest program, registered with CTest.
function(tessera_test name)
  if(NOT TESSERA_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPS;LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  find_package(GTest REQUIRED)
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE tessera_flags GTest::gtest GTest::gtest_main ${ARG_DEPS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
  # tests_unit, tests_threads, …: what has to be built to run the tests of one label.
  foreach(label ${ARG_LABELS})
    if(NOT TARGET tests_${label})
      add_custom_target(tests_${label})
    endif()
    add_dependencies(tests_${label} ${name})
  endforeach()
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}")
endfunction()

# tessera_benchmark(name SOURCES ... [DEPS ...]): a Google Benchmark program under build/bench.
function(tessera_benchmark name)
  if(NOT TESSERA_BENCH)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  find_package(benchmark REQUIRED)
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE tessera_flags benchmark::benchmark ${ARG_DEPS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bench")
endfunction()

# tessera_fuzzer(name SOURCES ... [DEPS ...]): a libFuzzer target with clang, a corpus replayer with any other compiler.
# SOURCES defines LLVMFuzzerTestOneInput; the replayer's main() lives in tests/fuzz/replay_main.cc.
function(tessera_fuzzer name)
  if(NOT TESSERA_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    add_executable(${name} ${ARG_SOURCES})
    target_compile_options(${name} PRIVATE -fsanitize=fuzzer)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  else()
    add_executable(${name} ${ARG_SOURCES} "${CMAKE_SOURCE_DIR}/tests/fuzz/replay_main.cc")
  endif()
  target_link_libraries(${name} PRIVATE tessera_flags ${ARG_DEPS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/fuzz")
endfunction()
