# The registration machine on its own against real and evil registrars.
add_executable(reg-driver ${CMAKE_CURRENT_LIST_DIR}/reg_driver.c)
target_link_libraries(reg-driver PRIVATE sipis_reg sipis_store)
target_link_options(reg-driver PRIVATE -Wl,--wrap=clock_gettime)

if(COMMAND e2e)
	e2e(reg_evil 300)
	e2e(reg_kamailio 240)
	e2e_shares(reg_rules 300 6)
endif()
