# trdpo_layer(NAME SOURCES file... [BELOW layer...] [LIBS target...])
#
# A layer is an object library whose headers are included as "NAME/header.h". Its include path holds
# that one name only, and is handed on to the layers that list it in BELOW: a file that includes a
# header of a layer above its own does not compile.
add_library(trdpo_flags INTERFACE)
target_compile_options(trdpo_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes
  -Wmissing-prototypes -Wvla $<$<BOOL:${TRDPO_WERROR}>:-Werror>)
# A product and a sum are never fused behind our back: the same C gives the same bits everywhere.
target_compile_options(trdpo_flags INTERFACE -ffp-contract=off)
if(TRDPO_SANITIZE)
  target_compile_options(trdpo_flags INTERFACE -fsanitize=address,undefined
    -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(trdpo_flags INTERFACE -fsanitize=address,undefined)
endif()

function(trdpo_layer name)
  cmake_parse_arguments(LAYER "" "" "SOURCES;BELOW;LIBS" ${ARGN})
  set(root ${CMAKE_BINARY_DIR}/layers/${name})
  file(MAKE_DIRECTORY ${root})
  file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR} ${root}/${name} COPY_ON_ERROR SYMBOLIC)
  add_library(${name} STATIC ${LAYER_SOURCES})
  set_target_properties(${name} PROPERTIES OUTPUT_NAME trdpo_${name} POSITION_INDEPENDENT_CODE ON)
  target_include_directories(${name} PUBLIC ${root})
  target_link_libraries(${name} PUBLIC ${LAYER_BELOW} ${LAYER_LIBS} trdpo_flags)
endfunction()
