# The chat page: web/ bundled by esbuild, compressed, and put into the program. A build without esbuild
# or the page's libraries gives a server that says so at /.
function(corral_page target)
  find_program(ESBUILD esbuild)
  find_package(Python3 REQUIRED COMPONENTS Interpreter)
  set(libraries /usr/share/nodejs/marked/lib/marked.esm.js
                /usr/share/nodejs/highlight.js/lib/highlight.js /usr/share/javascript/katex/katex.mjs
                /usr/share/fonts/truetype/katex/KaTeX_Main-Regular.woff2
                /usr/share/javascript/pdf/build/pdf.js)
  set(complete ON)
  foreach(library IN LISTS libraries)
    if(NOT EXISTS ${library})
      set(complete OFF)
    endif()
  endforeach()
  if(NOT ESBUILD OR NOT complete)
    message(STATUS "The chat page is left out: it needs the packages of tools/packages.txt")
    target_sources(${target} PRIVATE ${PROJECT_SOURCE_DIR}/cmake/no_page.cc)
    return()
  endif()
  set(out ${PROJECT_BINARY_DIR}/page)
  add_custom_command(
    OUTPUT ${out}/page_files.cc
    COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/tools/build_page.py --out ${out}
            --depfile ${PROJECT_BINARY_DIR}/page.d
    DEPFILE ${PROJECT_BINARY_DIR}/page.d
    COMMENT "Bundling the chat page"
    VERBATIM)
  target_sources(${target} PRIVATE ${out}/page_files.cc)
endfunction()
