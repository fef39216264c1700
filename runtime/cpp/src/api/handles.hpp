// What the handles of the C interface hold.
#pragma once

#include <w2vc/w2vc.h>

#include <memory>
#include <mutex>
#include <string>

#include "api/model.hpp"

struct w2vc_model {
    w2vc::Model model;
};

struct w2vc_decoder {
    std::unique_ptr<w2vc::decoding::Decoder> decoder;
};

struct w2vc_result {
    explicit w2vc_result(w2vc::results::Result value) : result(std::move(value)) {}

    w2vc::results::Result result;
    mutable std::once_flag once;
    mutable std::string json;
};

namespace w2vc::api {

// A struct of the caller, or defaults without one. Throws Error (argument) on a size that no version of it
// had: within a member there would be half of a pointer.
template <typename Struct>
Struct read(const Struct* theirs, const Struct& defaults, const char* name) {
    if (!theirs) return defaults;
    if (theirs->size != sizeof(Struct)) {
        throw Error(ErrorKind::argument, std::string(name) + ".size is " + std::to_string(theirs->size) +
                                             "; begin with the INIT macro of the w2vc.h of this library");
    }
    return *theirs;
}

}  // namespace w2vc::api
