# The two functions every folder uses, and the one interface target that holds language level,
# warnings and sanitizers.

include_guard()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "build type" FORCE)
endif()

option(HEADGATE_FUZZ "build libFuzzer's programs in place of the corpus test; needs clang" OFF)

find_program(HEADGATE_CCACHE ccache)
if(HEADGATE_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${HEADGATE_CCACHE}")
endif()

set(HEADGATE_TESTS_FOLDER "${CMAKE_SOURCE_DIR}/tests")

add_library(headgate_options INTERFACE)
target_compile_options(
  headgate_options
  INTERFACE -Wall
            -Wextra
            -Wpedantic
            -Wconversion
            -Wsign-conversion
            -Wshadow
            -Wold-style-cast
            -Wnon-virtual-dtor
            -Werror)
target_include_directories(headgate_options INTERFACE "${CMAKE_SOURCE_DIR}/src")
target_compile_definitions(
  headgate_options INTERFACE $<$<BOOL:${HEADGATE_BREAKS}>:HEADGATE_BREAKS=1>)
# HEADGATE_SANITIZE is for all code. HEADGATE_SANITIZE_PRODUCT is for ours in addition, not the tests':
# UndefinedBehaviorSanitizer doubles the time that GCC takes for a file full of assertions.
if(HEADGATE_SANITIZE)
  target_compile_options(headgate_options INTERFACE -fsanitize=${HEADGATE_SANITIZE}
                                                    -fno-sanitize-recover=all
                                                    -fno-omit-frame-pointer
                                                    # GCC 12 warns of <regex> where there is nothing.
                                                    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  target_link_options(headgate_options INTERFACE -fsanitize=${HEADGATE_SANITIZE})
endif()
if(HEADGATE_SANITIZE_PRODUCT)
  target_link_options(headgate_options INTERFACE -fsanitize=${HEADGATE_SANITIZE_PRODUCT})
endif()

# headgate_sanitize_product(TARGET): this is code that users run.
function(headgate_sanitize_product target)
  if(HEADGATE_SANITIZE_PRODUCT)
    target_compile_options(${target} PRIVATE -fsanitize=${HEADGATE_SANITIZE_PRODUCT})
  endif()
endfunction()

# headgate_library(NAME SOURCES a.cpp… [DEPENDS core…] [LINK PkgConfig::X…])
#
# One library per folder. DEPENDS names folders below this one and is public, since their types stand
# in this folder's headers; LINK names outside libraries and is private, so that a driver's header
# stays inside the folder that wraps it.
function(headgate_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LINK" ${ARGN})
  add_library(headgate_${name} STATIC ${ARG_SOURCES})
  cmake_path(IS_PREFIX HEADGATE_TESTS_FOLDER "${CMAKE_CURRENT_SOURCE_DIR}" is_of_tests)
  if(NOT is_of_tests)
    headgate_sanitize_product(headgate_${name})
  endif()
  target_link_libraries(headgate_${name} PUBLIC headgate_options)
  foreach(dependency IN LISTS ARG_DEPENDS)
    target_link_libraries(headgate_${name} PUBLIC headgate_${dependency})
  endforeach()
  target_link_libraries(headgate_${name} PRIVATE ${ARG_LINK})
endfunction()

# headgate_test(NAME SOURCES a_test.cpp… DEPENDS core… LABELS unit… [TIMEOUT seconds])
#
# One executable; each of its Catch2 cases is not a CTest case of its own, because starting a server
# per case would dominate the run.
function(headgate_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPENDS;LABELS;LINK" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE headgate_test_main ${ARG_LINK})
  foreach(dependency IN LISTS ARG_DEPENDS)
    target_link_libraries(${name} PRIVATE headgate_${dependency})
  endforeach()
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT})
  headgate_needed_by_label(${name} ${ARG_LABELS})
endfunction()

# headgate_needed_by_label(TARGET LABEL…): the target build_LABEL builds what the tests of that label
# run, and nothing else.
function(headgate_needed_by_label target)
  foreach(label IN LISTS ARGN)
    if(NOT TARGET build_${label})
      add_custom_target(build_${label})
    endif()
    add_dependencies(build_${label} ${target})
  endforeach()
endfunction()

# headgate_fuzzer(NAME [SOURCES b.cpp…] DEPENDS core… [LINK PkgConfig::X…])
#
# The fuzz target in NAME_fuzz.cpp of this folder: with HEADGATE_FUZZ the program fuzz_NAME around
# libFuzzer's main, which the custom target `fuzzers` builds; else a part of fuzz_corpus_test.
function(headgate_fuzzer name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LINK" ${ARGN})
  set(program fuzz_corpus_test)
  if(HEADGATE_FUZZ)
    set(program fuzz_${name})
    add_executable(${program} EXCLUDE_FROM_ALL)
    target_link_libraries(${program} PRIVATE headgate_options)
    target_link_options(${program} PRIVATE -fsanitize=fuzzer)
    target_compile_definitions(${program} PRIVATE HEADGATE_LIBFUZZER=1)
    add_dependencies(fuzzers ${program})
  endif()
  target_sources(${program} PRIVATE ${name}_fuzz.cpp ${ARG_SOURCES})
  target_include_directories(${program} PRIVATE "${CMAKE_SOURCE_DIR}")
  foreach(dependency IN LISTS ARG_DEPENDS)
    target_link_libraries(${program} PRIVATE headgate_${dependency})
  endforeach()
  target_link_libraries(${program} PRIVATE ${ARG_LINK})
endfunction()
