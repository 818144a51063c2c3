# Warnings, hardening and sanitizers of our own files.
if(FUZZERS AND NOT SANITIZE)
	set(SANITIZE address,undefined)
endif()
add_library(our_flags INTERFACE)
target_compile_definitions(our_flags INTERFACE _GNU_SOURCE
	SIPIS_VERSION="${PROJECT_VERSION}")
target_compile_options(our_flags INTERFACE
	-Wall -Wextra -Werror -Wconversion -Wshadow -Wstrict-prototypes
	-Wmissing-prototypes -Wvla -Wno-sign-conversion
	-fstack-protector-strong -fno-omit-frame-pointer)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64")
	target_compile_options(our_flags INTERFACE -fcf-protection
		-fstack-clash-protection)
endif()
target_link_options(our_flags INTERFACE -Wl,-z,relro,-z,now -Wl,-z,noexecstack)
target_include_directories(our_flags INTERFACE ${CMAKE_SOURCE_DIR})

if(SANITIZE)
	target_compile_options(our_flags INTERFACE -fsanitize=${SANITIZE}
		-fno-sanitize-recover=all)
	target_link_options(our_flags INTERFACE -fsanitize=${SANITIZE})
else()
	target_compile_options(our_flags INTERFACE
		$<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE>
		$<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=2>)
endif()
if(FUZZERS)
	target_compile_options(our_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

set(CMAKE_C_FLAGS_RELEASE "-O2 -g")
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
include(CheckPIESupported)
check_pie_supported()

# A module is one folder and one static library: module(name files...).
# What it stands on follows with target_link_libraries().
function(module name)
	add_library(${name} STATIC ${ARGN})
	target_link_libraries(${name} PUBLIC our_flags)
endfunction()
