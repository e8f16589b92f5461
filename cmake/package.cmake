# SPDX-License-Identifier: Apache-2.0
# Installs the program, and makes the Debian package (cpack -G DEB).
install(TARGETS ccrelay RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
foreach(folder lua providers policies examples dashboard)
  install(DIRECTORY ${folder}/ DESTINATION ${CMAKE_INSTALL_DATADIR}/ccrelay/${folder} OPTIONAL
    PATTERN quickstart.sh EXCLUDE PATTERN screenshot.png EXCLUDE)
endforeach()
install(FILES README.md README.ja.md OPERATIONS.md METRICS.md GLOSSARY.md CHANGELOG.md SECURITY.md LICENSE
  DESTINATION ${CMAKE_INSTALL_DOCDIR} OPTIONAL)
install(FILES packaging/ccrelay.service packaging/ccrelay.socket DESTINATION lib/systemd/system)

# The manual page and the completion scripts are made from the help texts.
set(made ${CMAKE_BINARY_DIR}/made)
file(MAKE_DIRECTORY ${made})
file(GLOB cli CONFIGURE_DEPENDS lua/ccrelay/cli/*.lua lua/ccrelay/cli/commands/*.lua)
function(make name)
  add_custom_command(OUTPUT ${made}/${name}
    COMMAND ${CMAKE_COMMAND} -E env CCRELAY_ROOT=${CMAKE_SOURCE_DIR} ASAN_OPTIONS=detect_leaks=0
      $<TARGET_FILE:ccrelay> ${ARGN} > ${made}/${name}
    DEPENDS ccrelay ${cli} VERBATIM)
endfunction()
make(ccrelay.1 help --man)
make(ccrelay.bash completion bash)
make(_ccrelay completion zsh)
make(ccrelay.fish completion fish)
add_custom_target(made ALL DEPENDS ${made}/ccrelay.1 ${made}/ccrelay.bash ${made}/_ccrelay ${made}/ccrelay.fish)
install(FILES ${made}/ccrelay.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${made}/ccrelay.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME ccrelay)
install(FILES ${made}/_ccrelay DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
install(FILES ${made}/ccrelay.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME ccrelay)
set(CPACK_PACKAGE_CONTACT "The ccrelay project <ccrelay@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Scriptable relay for clients of the Anthropic Messages API")
set(CPACK_PACKAGE_DESCRIPTION
"Stands between Claude Code, or any client of the Anthropic Messages API, and LLM
providers. Policies written in Lua choose the provider of each request and what
happens when one fails. A saved policy is in force for the next request.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "lua-cjson, lua-yaml, ca-certificates, passwd")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "lua-busted")
set(CPACK_CCRELAY_SOURCE ${CMAKE_SOURCE_DIR})
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_SOURCE_DIR}/cmake/package_etc.cmake)
foreach(name conffiles postinst prerm postrm)
  list(APPEND CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${CMAKE_SOURCE_DIR}/packaging/${name})
endforeach()
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION TRUE)
include(CPack)
