# Debian's packages are all that is needed; whatever is missing is named at once, not one configure run at a time.
set(missing_packages "")

find_package(nlohmann_json QUIET)
if(NOT nlohmann_json_FOUND)
  list(APPEND missing_packages nlohmann-json3-dev)
endif()

find_package(CLI11 QUIET)
if(NOT CLI11_FOUND)
  list(APPEND missing_packages libcli11-dev)
endif()

find_package(fmt QUIET)
if(NOT fmt_FOUND)
  list(APPEND missing_packages libfmt-dev)
endif()

if(ZIPTIE_TESTS)
  find_package(doctest QUIET)
  if(NOT doctest_FOUND)
    list(APPEND missing_packages doctest-dev)
  endif()
endif()

find_package(Threads REQUIRED)

# Only to be compared with. Not dnnl's own CMake package: it drags in the development files of OpenCL.
if(ZIPTIE_TESTS)
  find_library(DNNL_LIBRARY dnnl)
  find_path(DNNL_INCLUDE_DIR oneapi/dnnl/dnnl.hpp)
  if(NOT DNNL_LIBRARY OR NOT DNNL_INCLUDE_DIR)
    list(APPEND missing_packages libdnnl-dev)
  endif()
endif()

if(missing_packages)
  list(JOIN missing_packages " " missing_packages)
  message(FATAL_ERROR "Missing Debian packages. Install them with:\n  apt-get install ${missing_packages}")
endif()

if(ZIPTIE_TESTS)
  add_library(dnnl SHARED IMPORTED)
  set_target_properties(dnnl PROPERTIES IMPORTED_LOCATION "${DNNL_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${DNNL_INCLUDE_DIR}")
endif()
