# tessera_generate_api(KIND TABLE OUTPUT): OUTPUT (below build/generated) from a table in src/cuda.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
set(TESSERA_GENERATED "${CMAKE_BINARY_DIR}/generated")
function(tessera_generate_api kind table output)
  set(script "${CMAKE_SOURCE_DIR}/src/cuda/generate_api.py")
  set(source "${CMAKE_SOURCE_DIR}/src/cuda/${table}.tbl")
  get_filename_component(folder "${TESSERA_GENERATED}/${output}" DIRECTORY)
  file(MAKE_DIRECTORY "${folder}")
  add_custom_command(
    OUTPUT "${TESSERA_GENERATED}/${output}"
    COMMAND Python3::Interpreter "${script}" ${kind} "${source}" "${TESSERA_GENERATED}/${output}"
    DEPENDS "${script}" "${source}"
    VERBATIM)
endfunction()
