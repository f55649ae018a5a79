# device_test(NAME SOURCES file... LIBS layer... [VARIANTS variant...])
#
# A cmocka program that uses the device, run as it is and once for each variant: `validated` (the
# validation layer with synchronisation validation, any message of which is a failure), `shared` (the
# kernels of GPUs), `gpu` (with their workgroups too, which lavapipe is slow with), `subgroup8`
# (lavapipe's narrow lanes), `staged` (no mapped device memory). Those of GPU kernels, which lavapipe is
# slow with, are labelled long, and start first where tests run beside each other. Each run has its own
# folder to work in and its own cache.
function(device_test name)
  cmake_parse_arguments(DEVICE "" "" "SOURCES;LIBS;VARIANTS" ${ARGN})
  trdpo_test(${name} SOURCES ${DEVICE_SOURCES} ${PROJECT_SOURCE_DIR}/tests/common/device.c
    ${PROJECT_SOURCE_DIR}/tests/common/fixture.c ${PROJECT_SOURCE_DIR}/tests/common/scratch.c
    LIBS ${DEVICE_LIBS})
  # The layer itself leaks, and is unloaded before a leak report could name it.
  set(environment_validated TRDPO_VALIDATION=1 ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=1)
  set(environment_shared TRDPO_TIER=shared)
  set(environment_gpu TRDPO_TIER=shared TRDPO_GPU_WORKGROUPS=1)
  set(environment_subgroup8 LP_NATIVE_VECTOR_WIDTH=256)
  set(environment_staged TRDPO_NO_HOST_VISIBLE=1)
  foreach(variant "" ${DEVICE_VARIANTS})
    set(run ${name})
    if(variant)
      set(run ${name}_${variant})
      add_test(NAME ${run} COMMAND ${name})
    endif()
    set(folder ${CMAKE_CURRENT_BINARY_DIR}/runs/${run})
    file(MAKE_DIRECTORY ${folder})
    set_tests_properties(${run} PROPERTIES SKIP_RETURN_CODE 77 WORKING_DIRECTORY ${folder}
      ENVIRONMENT "${environment_${variant}};XDG_CACHE_HOME=${CMAKE_CURRENT_BINARY_DIR}/cache/${variant}")
    if(variant MATCHES "^(shared|gpu)$")
      set_tests_properties(${run} PROPERTIES LABELS long COST 50)
    endif()
  endforeach()
endfunction()
