# The compiler flags of every target of ours, in one interface library.
add_library(fcgipool_flags INTERFACE)
target_compile_definitions(fcgipool_flags INTERFACE _GNU_SOURCE)
target_compile_options(fcgipool_flags INTERFACE
  -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
  -Wpointer-arith -Wcast-qual -Wwrite-strings -Wvla -Wundef -Wformat=2 -Wswitch-enum
  -fno-common -fstack-protector-strong)
if(FCGIPOOL_WERROR)
  target_compile_options(fcgipool_flags INTERFACE -Werror)
endif()
if(FCGIPOOL_SANITIZE)
  target_compile_options(fcgipool_flags INTERFACE
    -fsanitize=${FCGIPOOL_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(fcgipool_flags INTERFACE -fsanitize=${FCGIPOOL_SANITIZE})
endif()
if(FCGIPOOL_COVERAGE)
  target_compile_definitions(fcgipool_flags INTERFACE FCGIPOOL_COVERAGE)
  # Some tests have threads, which count together.
  target_compile_options(fcgipool_flags INTERFACE --coverage -fprofile-update=atomic -O0)
  target_link_options(fcgipool_flags INTERFACE --coverage)
endif()
if(FCGIPOOL_FUZZ)
  target_compile_options(fcgipool_flags INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(fcgipool_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
