# SPDX-License-Identifier: Apache-2.0
# Writes OUT, a C file with the function cc_relay_header. It returns the text of IN with each header of
# api/ once, in place of its first #include, as the preprocessor does, so that a type comes before its use.
cmake_minimum_required(VERSION 3.25)
get_filename_component(root ${IN} DIRECTORY)
set(joined "")
set(seen "")

function(join file)
  file(STRINGS ${file} includes REGEX "^#include \"api/")
  foreach(line ${includes})
    string(REGEX REPLACE "^#include \"(.*)\"$" "\\1" header "${line}")
    if(NOT header IN_LIST seen)
      list(APPEND seen ${header})
      join(${root}/${header})
    endif()
  endforeach()
  file(READ ${file} hex HEX)
  set(joined "${joined}${hex}" PARENT_SCOPE)
  set(seen ${seen} PARENT_SCOPE)
endfunction()

join(${IN})
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${joined}")
file(WRITE ${OUT} "#include \"api/util.h\"\nstatic const char text[] = {${bytes}0};\nconst char *cc_relay_header(void) {\n  return text;\n}\n")
