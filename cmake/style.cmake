# SPDX-License-Identifier: Apache-2.0
# Defines the targets "format", which formats all C and C++ files, and "lint", which runs the checks that need no build.
add_custom_target(format COMMAND ${CMAKE_SOURCE_DIR}/tests/format.sh --fix USES_TERMINAL)
add_custom_target(lint
  COMMAND ${CMAKE_SOURCE_DIR}/tests/format.sh
  COMMAND luacheck -q lua providers policies examples spec
  COMMAND ${CMAKE_SOURCE_DIR}/tests/layers.sh
  COMMAND luajit tests/walls.lua
  WORKING_DIRECTORY ${CMAKE_SOURCE_DIR} USES_TERMINAL)
