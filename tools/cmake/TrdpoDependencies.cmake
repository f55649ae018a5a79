# The libraries we build on. A missing one is named together with the Debian package that has it.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(ZLIB)

set(TRDPO_MISSING "")
function(trdpo_require_pkg target module package)
  pkg_check_modules(${target} IMPORTED_TARGET ${module})
  if(NOT ${target}_FOUND)
    set(TRDPO_MISSING "${TRDPO_MISSING} ${package}" PARENT_SCOPE)
  endif()
endfunction()

trdpo_require_pkg(CJSON libcjson libcjson-dev)
trdpo_require_pkg(YAML yaml-0.1 libyaml-dev)
trdpo_require_pkg(PCRE2 libpcre2-8 libpcre2-dev)
trdpo_require_pkg(UTF8PROC libutf8proc libutf8proc-dev)
if(TRDPO_TESTS)
  trdpo_require_pkg(CMOCKA cmocka libcmocka-dev)
endif()
if(NOT ZLIB_FOUND)
  string(APPEND TRDPO_MISSING " zlib1g-dev")
endif()

# volk: its header and static library; the Vulkan loader itself is opened at run time.
find_path(VOLK_INCLUDE_DIR volk.h)
find_library(VOLK_LIBRARY NAMES volk)
if(NOT VOLK_INCLUDE_DIR OR NOT VOLK_LIBRARY)
  string(APPEND TRDPO_MISSING " libvulkan-volk-dev")
endif()
find_path(VULKAN_INCLUDE_DIR vulkan/vulkan.h)
if(NOT VULKAN_INCLUDE_DIR)
  string(APPEND TRDPO_MISSING " libvulkan-dev")
endif()

find_program(GLSLC glslc)
if(NOT GLSLC)
  string(APPEND TRDPO_MISSING " glslc")
endif()

if(TRDPO_MISSING)
  message(FATAL_ERROR "Missing packages. On Debian or Ubuntu:\n"
    "  sudo apt-get install${TRDPO_MISSING}\n"
    "or run tools/demo.sh, which installs them.")
endif()

add_library(trdpo_volk INTERFACE)
target_include_directories(trdpo_volk SYSTEM INTERFACE ${VOLK_INCLUDE_DIR} ${VULKAN_INCLUDE_DIR})
target_compile_definitions(trdpo_volk INTERFACE VK_NO_PROTOTYPES)
target_link_libraries(trdpo_volk INTERFACE ${VOLK_LIBRARY} ${CMAKE_DL_LIBS})
