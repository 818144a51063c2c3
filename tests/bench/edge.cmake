# Phones and a PBX at once: the load of scripts/bench edge.
add_executable(bench-edge
	edge/call.c
	edge/main.c
	edge/msg.c
	edge/phone.c
	edge/site.c
	edge/way.c
)
target_link_libraries(bench-edge PRIVATE our_flags PkgConfig::SSL)
