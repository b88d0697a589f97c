# `make package`: the .deb, in the build folder's package/.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)  # the program alone, no tests
set(CPACK_SET_DESTDIR ON)  # /etc/default lies outside the prefix
set(CPACK_INSTALL_PREFIX /usr)
install(TARGETS touchstone RUNTIME DESTINATION bin)
install(FILES deploy/touchstone.service DESTINATION lib/systemd/system)
install(FILES deploy/touchstone.default DESTINATION /etc/default RENAME touchstone)
install(FILES README.md CHANGELOG.md docs/serve.md docs/deploy.md docs/gpu.md docs/memory.md deploy/grafana-dashboard.json
        DESTINATION share/doc/touchstone)
install(FILES LICENSE DESTINATION share/doc/touchstone RENAME copyright)

set(TOUCHSTONE_DEVICES CPU)
if(TOUCHSTONE_CUDA)
  string(APPEND TOUCHSTONE_DEVICES " and on NVIDIA GPUs")
endif()
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_DIRECTORY "${PROJECT_BINARY_DIR}/package")
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_CONTACT "touchstone maintainers <maintainers@touchstone.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "which of two small language models to ship")
set(CPACK_PACKAGE_DESCRIPTION
"touchstone runs language models on the ${TOUCHSTONE_DEVICES}: it compares two of them in
quality, speed and memory, and serves one or several to any OpenAI client and to
its own web page.")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "bubblewrap, python3")  # `compare` runs answers in code with them
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
file(WRITE "${PROJECT_BINARY_DIR}/conffiles" "/etc/default/touchstone\n")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    "${PROJECT_SOURCE_DIR}/deploy/debian/postinst;${PROJECT_SOURCE_DIR}/deploy/debian/prerm"
    "${PROJECT_SOURCE_DIR}/deploy/debian/postrm;${PROJECT_BINARY_DIR}/conffiles")
include(CPack)
