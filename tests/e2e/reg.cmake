# The registration machine on its own against real and evil registrars.
add_executable(reg-driver ${CMAKE_CURRENT_LIST_DIR}/reg_driver.c)
target_link_libraries(reg-driver PRIVATE sipis_reg sipis_store)
target_link_options(reg-driver PRIVATE -Wl,--wrap=clock_gettime)

if(COMMAND e2e)
	e2e(reg_evil 300)
	e2e(reg_kamailio 240)
	# long waits, little work: in four parts that run side by side
	foreach(part 1 2 3 4)
		e2e_entry(e2e.reg_rules.${part} 300
			${CMAKE_CURRENT_LIST_DIR}/reg_rules.py --share=${part}/4)
	endforeach()
endif()
