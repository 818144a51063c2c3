# Load and peer of scripts/bench push.
add_executable(bench-push-load push/load.c tenant.c)
target_link_libraries(bench-push-load PRIVATE our_flags wire common
	PkgConfig::SSL)

add_executable(bench-push-curl push/curl.c)
target_link_libraries(bench-push-curl PRIVATE our_flags PkgConfig::CURL)
