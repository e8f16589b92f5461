# SPDX-License-Identifier: Apache-2.0
# Defines the interface target "dependencies", whichever version of each library the distribution has.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(libuv REQUIRED IMPORTED_TARGET libuv)
pkg_check_modules(luajit REQUIRED IMPORTED_TARGET luajit)
pkg_check_modules(encodings REQUIRED IMPORTED_TARGET zlib libbrotlidec libzstd)
pkg_check_modules(sqlite3 REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(llhttp IMPORTED_TARGET libllhttp)

add_library(dependencies INTERFACE)
target_link_libraries(dependencies INTERFACE PkgConfig::libuv PkgConfig::encodings PkgConfig::sqlite3 Threads::Threads m)

if(llhttp_FOUND)
  target_link_libraries(dependencies INTERFACE PkgConfig::llhttp)
else()
  # Debian 12 and Ubuntu 24.04 ship llhttp 8.1 and 9.1 as C sources (node-llhttp).
  find_path(llhttp_include llhttp.h PATHS /usr/share/include/llhttp REQUIRED)
  find_path(llhttp_source llhttp.c PATHS /usr/share/llhttp REQUIRED)
  add_library(llhttp OBJECT ${llhttp_source}/llhttp.c ${llhttp_source}/api.c ${llhttp_source}/http.c)
  target_include_directories(llhttp SYSTEM PUBLIC ${llhttp_include})
  target_compile_options(llhttp PRIVATE -w)
  target_compile_definitions(llhttp PRIVATE LLHTTP_STRICT_MODE=1) # 8.1 is lenient without it
  target_link_libraries(dependencies INTERFACE llhttp $<TARGET_OBJECTS:llhttp>)
  target_include_directories(dependencies SYSTEM INTERFACE ${llhttp_include})
endif()

# mbedTLS 2.28 has no pkg-config file; that of 3.x does not pull in all three.
find_path(mbedtls_include mbedtls/ssl.h REQUIRED)
find_library(mbedtls_tls mbedtls REQUIRED)
find_library(mbedtls_x509 mbedx509 REQUIRED)
find_library(mbedtls_crypto mbedcrypto REQUIRED)
target_link_libraries(dependencies INTERFACE ${mbedtls_tls} ${mbedtls_x509} ${mbedtls_crypto})
