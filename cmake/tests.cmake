# SPDX-License-Identifier: Apache-2.0
# Every tests/FOLDER/test_NAME.c is one cmocka program and one ctest test; the target "check"
# builds and runs them all.
pkg_check_modules(cmocka REQUIRED IMPORTED_TARGET cmocka)
file(GLOB_RECURSE tests CONFIGURE_DEPENDS tests/test_*.c)
file(GLOB support CONFIGURE_DEPENDS tests/support/*.c)
add_library(under_test STATIC ${support} $<TARGET_OBJECTS:runtime> $<TARGET_OBJECTS:toml>)
target_include_directories(under_test PRIVATE runtime tests)
target_link_libraries(under_test PUBLIC dependencies)
set(programs "")
foreach(source ${tests})
  get_filename_component(name ${source} NAME_WE)
  add_executable(${name} ${source})
  target_include_directories(${name} PRIVATE runtime tests)
  target_compile_options(${name} PRIVATE -Wall -Wextra -Werror)
  target_compile_definitions(${name} PRIVATE TEST_DATA="${CMAKE_SOURCE_DIR}/tests/data"
    TEST_CORPORA="${CMAKE_SOURCE_DIR}/../shared/corpora")
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(${name} PRIVATE under_test PkgConfig::cmocka)
  add_test(NAME ${name} COMMAND ${name})
  list(APPEND programs ${name})
endforeach()
add_custom_target(check COMMAND ${CMAKE_CTEST_COMMAND} --output-on-failure DEPENDS ${programs} USES_TERMINAL)
