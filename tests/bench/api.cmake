# scripts/bench api: the load, and the floor under it
add_executable(bench-api-load api/load.c)
target_link_libraries(bench-api-load PRIVATE our_flags PkgConfig::SSL)
add_executable(bench-api-floor api/floor.c)
target_link_libraries(bench-api-floor PRIVATE our_flags PkgConfig::SQLITE)
