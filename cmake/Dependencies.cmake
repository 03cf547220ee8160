# The three libraries that fcgipool stands on. None of them ships a package file on every
# distribution, so each is looked for by header and library and named with its package when missing.
function(fcgipool_dependency target header library package)
  string(MAKE_C_IDENTIFIER "${library}" id)
  find_path(FCGIPOOL_${id}_INCLUDE ${header})
  find_library(FCGIPOOL_${id}_LIBRARY ${library})
  mark_as_advanced(FCGIPOOL_${id}_INCLUDE FCGIPOOL_${id}_LIBRARY)
  if(NOT FCGIPOOL_${id}_INCLUDE OR NOT FCGIPOOL_${id}_LIBRARY)
    message(FATAL_ERROR "${header} or lib${library} was not found. "
      "On Debian and Ubuntu: apt-get install ${package}")
  endif()
  add_library(${target} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${target} SYSTEM INTERFACE ${FCGIPOOL_${id}_INCLUDE})
  target_link_libraries(${target} INTERFACE ${FCGIPOOL_${id}_LIBRARY})
endfunction()

fcgipool_dependency(Libev::Libev ev.h ev libev-dev)
fcgipool_dependency(Jansson::Jansson jansson.h jansson libjansson-dev)
fcgipool_dependency(Fcgi::Fcgi fcgiapp.h fcgi libfcgi-dev)
if(FCGIPOOL_TESTS)
  fcgipool_dependency(Cmocka::Cmocka cmocka.h cmocka libcmocka-dev)
endif()
