# How our own sources are compiled, and how what is made of them is linked.

if(W2VC_SANITIZE)
    add_compile_options(-fsanitize=${W2VC_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${W2VC_SANITIZE})
endif()
# Without contraction, sums round as numpy's do on every processor.
add_compile_options(-ffp-contract=off -ffunction-sections -fdata-sections)

function(w2vc_compile target)
    target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
    target_include_directories(${target} SYSTEM PRIVATE ${PROJECT_SOURCE_DIR}/third_party)
    target_compile_definitions(${target} PRIVATE W2VC_BUILDING W2VC_VERSION="${PROJECT_VERSION}")
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror)
endfunction()

function(w2vc_link target)
    target_link_options(${target} PRIVATE -Wl,--gc-sections 
        -Wl,--version-script=${PROJECT_SOURCE_DIR}/cmake/exports.map)
    set_target_properties(${target} PROPERTIES LINK_DEPENDS ${PROJECT_SOURCE_DIR}/cmake/exports.map)
    if(NOT W2VC_SANITIZE)
        target_link_options(${target} PRIVATE -Wl,--no-undefined)
    endif()
endfunction()
