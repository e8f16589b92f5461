# SPDX-License-Identifier: Apache-2.0
# Writes OUT, a C file with the bytes of IN and the function that returns them.
file(READ ${IN} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
file(WRITE ${OUT} "#include \"relay.h\"\nstatic const char text[] = {${bytes}0};\nconst char *cc_relay_header(void) {\n  return text;\n}\n")
