# The libraries from Debian, each as one imported target.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

pkg_check_modules(RE REQUIRED IMPORTED_TARGET libre)
pkg_check_modules(LWS REQUIRED IMPORTED_TARGET libwebsockets)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl)
pkg_check_modules(SSL REQUIRED IMPORTED_TARGET openssl)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(CYAML REQUIRED IMPORTED_TARGET libcyaml)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(PROTOBUFC REQUIRED IMPORTED_TARGET libprotobuf-c)
find_program(PROTOC_C protoc-c REQUIRED)

# For the tests only; without them the daemons still build.
pkg_check_modules(CMOCKA IMPORTED_TARGET cmocka)
pkg_check_modules(NGHTTP2 IMPORTED_TARGET libnghttp2)

# libre's headers change shape with these, and its pkg-config file does not
# name them; without HAVE_STDBOOL_H its bool is a signed char.
target_compile_definitions(PkgConfig::RE INTERFACE HAVE_INTTYPES_H
	HAVE_STDBOOL_H HAVE_INET6 USE_OPENSSL USE_TLS RELEASE)

# The headers of libre carry no version; its functions tell.
include(CheckSymbolExists)
set(CMAKE_REQUIRED_LIBRARIES PkgConfig::RE)
check_symbol_exists(tls_disable_verify_server "re/re.h"
	HAVE_TLS_DISABLE_VERIFY_SERVER)
check_symbol_exists(tls_set_servername "re/re.h" HAVE_TLS_SET_SERVERNAME)
unset(CMAKE_REQUIRED_LIBRARIES)
foreach(have HAVE_TLS_DISABLE_VERIFY_SERVER HAVE_TLS_SET_SERVERNAME)
	if(${have})
		target_compile_definitions(PkgConfig::RE INTERFACE ${have})
	endif()
endforeach()
