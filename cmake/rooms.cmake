# add_room(NAME DEPS...): a static library of all sources in this folder.
function(add_room name)
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cpp")
  if(NOT sources)
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE house ${ARGN})
    return()
  endif()
  add_library(${name} STATIC ${sources})
  target_link_libraries(${name} PUBLIC house ${ARGN})
endfunction()

# add_room_tests(ROOM DEPS...): one GoogleTest program of all *_test.cpp in this folder, each test known to ctest.
# Labels (ctest -L / -LE): the room's name.
function(add_room_tests room)
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*_test.cpp")
  if(NOT sources)
    return()
  endif()
  add_executable(${room}_tests ${sources})
  target_link_libraries(${room}_tests PRIVATE test_support ${ARGN})
  set_target_properties(${room}_tests PROPERTIES UNITY_BUILD ON)  # most of their time goes to GoogleTest's headers
  # Tests pack weights afresh, and leave the user's cache alone; those of the cache set their own.
  gtest_discover_tests(${room}_tests DISCOVERY_MODE PRE_TEST PROPERTIES LABELS ${room} TIMEOUT 600
                       ENVIRONMENT TOUCHSTONE_CACHE_BYTES=0)
endfunction()
