# Puts the libraries that EXECUTABLE needs beyond libc and libstdc++ beside it, under their sonames.
get_filename_component(directory "${EXECUTABLE}" DIRECTORY)

# Those of the build before would be found before the system's, which may be newer, and be packaged even where nothing needs
# them any more. Only what the list names is removed: the directory may hold somebody else's libraries.
set(list "${directory}/.libraries")
if(EXISTS "${list}")
  file(STRINGS "${list}" shipped)
  foreach(soname IN LISTS shipped)
    file(REMOVE "${directory}/${soname}")
  endforeach()
endif()

file(GET_RUNTIME_DEPENDENCIES EXECUTABLES "${EXECUTABLE}" RESOLVED_DEPENDENCIES_VAR libraries
  UNRESOLVED_DEPENDENCIES_VAR unresolved
  PRE_EXCLUDE_REGEXES "^ld-linux" "^lib(c|m|dl|rt|pthread|stdc\\+\\+|gcc_s)\\.so")
if(unresolved)
  message(FATAL_ERROR "Libraries not found: ${unresolved}")
endif()
set(sonames "")
foreach(library IN LISTS libraries)
  get_filename_component(soname "${library}" NAME)
  list(APPEND sonames "${soname}")
  file(REAL_PATH "${library}" file)
  if(NOT file STREQUAL "${directory}/${soname}")
    file(COPY_FILE "${file}" "${directory}/${soname}")
  endif()
endforeach()
list(JOIN sonames "\n" sonames)
file(WRITE "${list}" "${sonames}\n")
