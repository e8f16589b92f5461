# SPDX-License-Identifier: Apache-2.0
# Builds each tests/fuzz/fuzz_NAME.c as a libFuzzer program; its seeds are in tests/fuzz/corpus/NAME. The target
# "fuzzers" builds them all.
file(GLOB fuzzers CONFIGURE_DEPENDS tests/fuzz/fuzz_*.c)
add_custom_target(fuzzers)
foreach(source ${fuzzers})
  get_filename_component(name ${source} NAME_WE)
  add_executable(${name} ${source} $<TARGET_OBJECTS:runtime> $<TARGET_OBJECTS:toml>)
  target_include_directories(${name} PRIVATE runtime tests/unit)
  target_link_libraries(${name} PRIVATE dependencies)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  add_dependencies(fuzzers ${name})
endforeach()
target_compile_options(runtime PRIVATE -fsanitize=fuzzer-no-link)
