# Libraries, tests, benchmarks and fuzz targets are collected from the tree: a new file edits no list.

# Flags that hold for every target of ours.
function(corral_configure target)
  target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_compile_options(${target} PRIVATE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast
    -Wnon-virtual-dtor -Woverloaded-virtual
    # The same expression must round the same way in every compiler and every inlining.
    -ffp-contract=off
    # g++ 12 sees overlapping copies in std::string operator+ that are not there (GCC bug 105651).
    $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
  if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    # Without any optimisation simd::choose() refers to tables that only x86-64 has.
    target_compile_options(${target} PRIVATE $<$<CONFIG:Debug>:-Og>)
  endif()
  if(CORRAL_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  if(CORRAL_SANITIZE)
    # Without no-sanitize-recover a test with undefined behaviour would print a line and pass.
    target_compile_options(${target} PRIVATE -fsanitize=${CORRAL_SANITIZE} -fno-omit-frame-pointer
                           -fno-sanitize-recover=all)
    target_link_options(${target} PRIVATE -fsanitize=${CORRAL_SANITIZE})
  endif()
endfunction()

# The files of a folder compiled two dozen at a time, as one: headers are read and their templates made
# once for all of them, which builds everything three to four times faster. Hence no two files of a
# folder may give one name to two things. Kernels keep their short names and are compiled alone.
function(corral_compile_together target)
  if(CORRAL_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 24)
  endif()
endfunction()

# For code that is compiled more often than it runs: a third less compile time.
function(corral_compile_fast target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release,RelWithDebInfo>:-O1>)
endfunction()

# Files named *_isa.cc hold vector code that is compiled once per instruction set, in a namespace of
# its own (simd/vec.h); the choice is made at run time. Those named *_amx.cc are the few that need tiles.
function(corral_isa_objects target sources)
  set(flags_portable "")
  set(flags_avx2 -march=haswell)
  set(flags_avx_vnni -march=haswell)
  if(NOT CORRAL_EMULATE)
    list(APPEND flags_avx_vnni -mavxvnni)
  endif()
  set(flags_avx512 -march=cascadelake -mprefer-vector-width=512)
  set(flags_avx512_bf16 -march=cooperlake -mprefer-vector-width=512)
  set(flags_amx ${flags_avx512_bf16} -mavx512vbmi -mamx-tile -mamx-int8 -mamx-bf16)
  set(flags_dotprod -march=armv8.2-a+dotprod+fp16)
  set(optimise -O3)
  if(CORRAL_SANITIZE)
    set(optimise -O1)
  endif()
  # All that some sets add is products of bytes, of bf16, or of tiles, which only these files have;
  # and AVX-512 with bf16 tells AMD's processors, for which blocks are asked for otherwise.
  set(files "_isa")
  set(files_avx_vnni "/(block|peak)_isa")
  set(files_avx512_bf16 "/(attention|block|matmul|peak)_isa")
  set(files_amx "_amx")
  set(files_dotprod ${files_avx_vnni})
  set(isas portable)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    list(APPEND isas avx2 avx_vnni avx512 avx512_bf16 amx)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
    list(APPEND isas dotprod)
  endif()
  set(all_sources ${sources})
  foreach(isa IN LISTS isas)
    set(sources ${all_sources})
    if(DEFINED files_${isa})
      list(FILTER sources INCLUDE REGEX "${files_${isa}}\\.cc$")
    else()
      list(FILTER sources INCLUDE REGEX "${files}\\.cc$")
    endif()
    if(NOT sources)
      continue()
    endif()
    add_library(${target}_${isa} OBJECT ${sources})
    corral_configure(${target}_${isa})
    target_compile_definitions(${target}_${isa} PRIVATE CORRAL_ISA=${isa}
                               $<$<STREQUAL:${isa},amx>:CORRAL_TILES>)
    if(CORRAL_EMULATE)
      target_compile_definitions(${target}_${isa} PRIVATE
                                 $<$<STREQUAL:${isa},amx>:CORRAL_EMULATED_TILES>
                                 $<$<STREQUAL:${isa},avx_vnni>:CORRAL_EMULATED_VNNI>)
    endif()
    # Vector code without optimisation is unusably slow, also in debug builds; with sanitizers g++
    # takes minutes for unrolled kernels beyond -O1, and also to follow their variables for a
    # debugger. The ABI warning is about vector arguments, which never cross these files.
    target_compile_options(${target}_${isa} PRIVATE ${flags_${isa}} ${optimise} -Wno-psabi
                           $<$<CXX_COMPILER_ID:GNU>:-fno-var-tracking>)
    target_link_libraries(${target} PRIVATE ${target}_${isa})
  endforeach()
endfunction()

# corral_library(folder DEPENDS folders... LINK targets...)
function(corral_library folder)
  cmake_parse_arguments(arg "" "" "DEPENDS;LINK" ${ARGN})
  set(target corral_${folder})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${folder}/*.cc)
  list(FILTER sources EXCLUDE REGEX "/cli/main\\.cc$")
  set(isa_sources ${sources})
  list(FILTER isa_sources INCLUDE REGEX "_(isa|amx)\\.cc$")
  list(FILTER sources EXCLUDE REGEX "_(isa|amx)\\.cc$")
  list(TRANSFORM arg_DEPENDS PREPEND corral_)
  if(NOT sources AND NOT isa_sources)
    add_library(${target} INTERFACE)
    target_include_directories(${target} INTERFACE ${PROJECT_SOURCE_DIR}/src)
    target_link_libraries(${target} INTERFACE ${arg_DEPENDS} ${arg_LINK})
    return()
  endif()
  add_library(${target} STATIC ${sources})
  corral_configure(${target})
  if(NOT folder MATCHES "^(ops|quant)$")
    corral_compile_together(${target})
  endif()
  target_link_libraries(${target} PUBLIC ${arg_DEPENDS} ${arg_LINK})
  if(isa_sources)
    corral_isa_objects(${target} "${isa_sources}")
  endif()
endfunction()

# What tests and benchmarks share and have to be compiled: tests/support/*.cc.
function(corral_test_support)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/support/*.cc)
  add_library(corral_test_support STATIC ${sources})
  corral_configure(corral_test_support)
  target_include_directories(corral_test_support PUBLIC ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(corral_test_support
                             PRIVATE CORRAL_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
endfunction()

# One test binary a folder of tests/: tests/ops/*_test.cc -> corral_ops_test.
function(corral_tests)
  include(GoogleTest)
  add_custom_target(corral_all_tests)  # all that the tests need, without the benchmarks
  if(TARGET corral)
    add_dependencies(corral_all_tests corral)
  endif()
  file(GLOB folders CONFIGURE_DEPENDS LIST_DIRECTORIES true ${PROJECT_SOURCE_DIR}/tests/*)
  foreach(path IN LISTS folders)
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${path}/*_test.cc)
    get_filename_component(folder ${path} NAME)
    if(NOT sources OR (CORRAL_KERNELS_ONLY AND NOT TARGET corral_${folder}))
      continue()
    endif()
    set(target corral_${folder}_test)
    add_executable(${target} ${sources})
    corral_configure(${target})
    if(NOT folder STREQUAL "ops")
      corral_compile_together(${target})
    endif()
    target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
    # GoogleTest's macros compare signed with unsigned literals.
    target_compile_options(${target} PRIVATE -Wno-sign-conversion)
    corral_compile_fast(${target})
    if(CORRAL_PRECOMPILE)
      target_precompile_headers(${target} PRIVATE <gmock/gmock.h> <gtest/gtest.h>)
    elseif(CORRAL_UNITY AND folder STREQUAL "ops")
      # What files that are compiled alone all read.
      target_precompile_headers(${target} PRIVATE <gmock/gmock.h> <gtest/gtest.h>
                                ${PROJECT_SOURCE_DIR}/tests/support/op_case.h)
    endif()
    set(library corral_${folder})
    if(NOT TARGET ${library} OR folder STREQUAL "cli")
      set(library corral_cli)
      add_dependencies(${target} corral)
      target_compile_definitions(${target} PRIVATE CORRAL_BINARY="$<TARGET_FILE:corral>")
    endif()
    target_link_libraries(${target} PRIVATE ${library} corral_test_support GTest::gmock
                          GTest::gtest_main)
    add_dependencies(corral_all_tests ${target})
    gtest_discover_tests(${target} TEST_PREFIX ${folder}. DISCOVERY_MODE PRE_TEST
                         DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 300)
  endforeach()
  if(CORRAL_KERNELS_ONLY)
    return()
  endif()
  # The tools are tested in Python: tests/tools/NAME_test.py.
  file(GLOB scripts CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/tools/*_test.py)
  foreach(script IN LISTS scripts)
    get_filename_component(name ${script} NAME_WE)
    add_test(NAME tools.${name} COMMAND Python3::Interpreter -B ${script})
    set_tests_properties(tools.${name} PROPERTIES TIMEOUT 60)
  endforeach()
endfunction()

# One benchmark binary a folder of bench/: bench/ops/*_bench.cc -> corral_ops_bench.
function(corral_benches)
  file(GLOB folders CONFIGURE_DEPENDS LIST_DIRECTORIES true ${PROJECT_SOURCE_DIR}/bench/*)
  foreach(path IN LISTS folders)
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${path}/*_bench.cc)
    if(NOT sources)
      continue()
    endif()
    get_filename_component(folder ${path} NAME)
    set(target corral_${folder}_bench)
    add_executable(${target} ${sources})
    corral_configure(${target})
    target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests ${PROJECT_SOURCE_DIR}/bench)
    # oneDNN is the peer that our matrix products are measured against.
    target_link_libraries(${target} PRIVATE corral_${folder} corral_test_support
                          benchmark::benchmark_main DNNL::dnnl)
  endforeach()
endfunction()

# One libFuzzer binary a file, with no more of the program than its folder:
# tests/fuzz/io/gguf_fuzz.cc -> gguf_fuzz with corral_io.
function(corral_fuzzers)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/fuzz/*_fuzz.cc)
  foreach(source IN LISTS sources)
    get_filename_component(name ${source} NAME_WE)
    get_filename_component(folder ${source} DIRECTORY)
    get_filename_component(folder ${folder} NAME)
    add_executable(${name} ${source})
    corral_configure(${name})
    target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
    target_compile_options(${name} PRIVATE -fsanitize=fuzzer)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    target_link_libraries(${name} PRIVATE corral_${folder})
  endforeach()
endfunction()
