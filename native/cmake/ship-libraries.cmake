# Copies the libraries that EXECUTABLE needs beyond libc and libstdc++ beside it, under their sonames.
get_filename_component(directory "${EXECUTABLE}" DIRECTORY)

macro(resolve)
  file(GET_RUNTIME_DEPENDENCIES EXECUTABLES "${EXECUTABLE}" RESOLVED_DEPENDENCIES_VAR libraries
    UNRESOLVED_DEPENDENCIES_VAR unresolved
    PRE_EXCLUDE_REGEXES "^ld-linux" "^lib(c|m|dl|rt|pthread|stdc\\+\\+|gcc_s)\\.so")
  if(unresolved)
    message(FATAL_ERROR "Libraries not found: ${unresolved}")
  endif()
endmacro()

# Those of an earlier build lie beside the executable and would be found first; the system's may be newer.
resolve()
foreach(library IN LISTS libraries)
  get_filename_component(found_in "${library}" DIRECTORY)
  if(found_in STREQUAL directory)
    file(REMOVE "${library}")
  endif()
endforeach()

resolve()
foreach(library IN LISTS libraries)
  get_filename_component(soname "${library}" NAME)
  file(REAL_PATH "${library}" file)
  file(COPY_FILE "${file}" "${directory}/${soname}")
endforeach()
