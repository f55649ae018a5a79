# trdpo_shaders(LAYER kernels.def)
#
# Compiles every kernel of a kernel table (its form: src/ops/kernels.def) to SPIR-V in the form of a
# C initialiser, and writes LAYER_spirv.h, which defines SPIRV_name as "code, bytes" for each line.
# Sets LAYER_SPIRV (files to list among the layer's sources) and LAYER_SPIRV_DIR (to include).
# A kernel is compiled again when its source, what that includes, or its options change.

# True if glslc knows a GLSL extension.
function(trdpo_glslc_has extension result)
  string(MAKE_C_IDENTIFIER "TRDPO_GLSLC_${extension}" cache)
  if(NOT DEFINED ${cache})
    set(probe ${CMAKE_BINARY_DIR}/probe.comp)
    file(WRITE ${probe} "#version 460\n#extension ${extension} : require\nvoid main() {}\n")
    execute_process(COMMAND ${GLSLC} --target-env=vulkan1.3 ${probe} -o ${probe}.spv
      RESULT_VARIABLE status OUTPUT_QUIET ERROR_QUIET)
    if(status EQUAL 0)
      set(${cache} TRUE CACHE INTERNAL "glslc knows ${extension}")
    else()
      set(${cache} FALSE CACHE INTERNAL "glslc knows ${extension}")
      message(STATUS "glslc lacks ${extension}: kernels that need it are left out")
    endif()
  endif()
  set(${result} ${${cache}} PARENT_SCOPE)
endfunction()

function(trdpo_shaders layer table)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${table})
  set(dir ${CMAKE_CURRENT_BINARY_DIR}/spirv)
  file(MAKE_DIRECTORY ${dir})
  set(outputs "")
  set(header "// Made by trdpo_shaders() from ${layer}/kernels.def.\n#include <stdint.h>\n")
  get_filename_component(table_dir ${table} DIRECTORY)
  file(STRINGS ${table} lines REGEX "^KERNEL(_OPTIONAL)?\\(")
  foreach(line IN LISTS lines)
    if(NOT line MATCHES
       "^KERNEL(_OPTIONAL)?\\(([a-z0-9_]+), ([a-z0-9_]+), [a-z0-9_]+, \"([^\"]*)\"(, \"([A-Za-z0-9_]+)\")?\\)$")
      message(FATAL_ERROR "${table}: cannot read the line: ${line}")
    endif()
    set(name ${CMAKE_MATCH_2})
    # A kernel's source stands in shaders/; a test kernel's beside its table.
    set(source ${table_dir}/${CMAKE_MATCH_3}.comp)
    if(NOT EXISTS ${source})
      set(source ${CMAKE_SOURCE_DIR}/shaders/${CMAKE_MATCH_3}.comp)
    endif()
    separate_arguments(options UNIX_COMMAND "${CMAKE_MATCH_4}")
    if(CMAKE_MATCH_6)
      trdpo_glslc_has(${CMAKE_MATCH_6} supported)
      if(NOT supported)
        string(APPEND header "#define SPIRV_${name} 0, 0\n")
        continue()
      endif()
    endif()
    set(output ${dir}/${name}.inc)
    add_custom_command(OUTPUT ${output}
      COMMAND ${GLSLC} --target-env=vulkan1.3 -O ${options} -I ${CMAKE_SOURCE_DIR}/shaders
        -mfmt=c -MD -MF ${output}.d ${source} -o ${output}
      DEPENDS ${source} DEPFILE ${output}.d VERBATIM COMMENT "Shader ${name}")
    list(APPEND outputs ${output})
    string(APPEND header "static const uint32_t spirv_${name}[] =\n#include \"${name}.inc\"\n    ;\n"
      "#define SPIRV_${name} spirv_${name}, sizeof spirv_${name}\n")
  endforeach()
  # Written only when it differs, so that a configure run alone compiles nothing.
  file(CONFIGURE OUTPUT ${dir}/${layer}_spirv.h CONTENT "${header}" @ONLY)
  set(${layer}_SPIRV ${outputs} PARENT_SCOPE)
  set(${layer}_SPIRV_DIR ${dir} PARENT_SCOPE)
endfunction()
