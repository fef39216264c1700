# The package that find_package(w2vc) finds, and the file that pkg-config does.

install(TARGETS w2vc w2vc_static EXPORT w2vcTargets
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/w2vc DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT w2vcTargets NAMESPACE w2vc:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/w2vc)

configure_package_config_file(cmake/w2vcConfig.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/w2vcConfig.cmake
    INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/w2vc)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/w2vcConfigVersion.cmake
    COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/w2vcConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/w2vcConfigVersion.cmake
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/w2vc)

if(ZLIB_FOUND)
    set(W2VC_PRIVATE_LIBRARIES -lz)
endif()
configure_file(cmake/w2vc.pc.in ${CMAKE_CURRENT_BINARY_DIR}/w2vc.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/w2vc.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES ${CMAKE_CURRENT_SOURCE_DIR}/third_party/yyjson/LICENSE RENAME yyjson.txt
    DESTINATION ${CMAKE_INSTALL_DOCDIR}/licenses)
install(FILES ${CMAKE_CURRENT_SOURCE_DIR}/third_party/pocketfft/LICENSE RENAME pocketfft.txt
    DESTINATION ${CMAKE_INSTALL_DOCDIR}/licenses)
install(FILES ${CMAKE_CURRENT_SOURCE_DIR}/third_party/onnxruntime/LICENSE RENAME onnxruntime.txt
    DESTINATION ${CMAKE_INSTALL_DOCDIR}/licenses)
