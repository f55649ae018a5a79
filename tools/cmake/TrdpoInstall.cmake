# cmake --install: program, library with header and pkg-config file, manual page, completion,
# configurations.
install(TARGETS trdpo-vk libtrdpo
  RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES include/trdpo/trdpo.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/trdpo)
install(DIRECTORY configs/ DESTINATION ${CMAKE_INSTALL_DATADIR}/trdpo-vk/configs)
install(FILES tools/completion/trdpo-vk
  DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${CMAKE_BINARY_DIR}/trdpo-vk.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1
  OPTIONAL) # not made when cross-compiling

# The prefix may be another one at install time (cmake --install --prefix), so the pkg-config file
# is written then.
install(CODE "
  set(PROJECT_DESCRIPTION \"${PROJECT_DESCRIPTION}\")
  set(PROJECT_VERSION \"${PROJECT_VERSION}\")
  cmake_path(ABSOLUTE_PATH CMAKE_INSTALL_PREFIX NORMALIZE OUTPUT_VARIABLE CMAKE_INSTALL_PREFIX)
  set(TRDPO_PC_LIBDIR \"${CMAKE_INSTALL_LIBDIR}\")
  set(TRDPO_PC_INCLUDEDIR \"${CMAKE_INSTALL_INCLUDEDIR}\")
  foreach(dir LIBDIR INCLUDEDIR)
    if(NOT IS_ABSOLUTE \"\${TRDPO_PC_\${dir}}\")
      set(TRDPO_PC_\${dir} \"\\\${prefix}/\${TRDPO_PC_\${dir}}\")
    endif()
  endforeach()
  configure_file(\"${CMAKE_SOURCE_DIR}/tools/cmake/trdpo.pc.in\"
    \"${CMAKE_BINARY_DIR}/trdpo.pc\" @ONLY)")
install(FILES ${CMAKE_BINARY_DIR}/trdpo.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
