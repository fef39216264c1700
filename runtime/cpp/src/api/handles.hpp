// What the handles of the C interface hold.
#pragma once

#include <w2vc/w2vc.h>

#include <algorithm>
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

// A struct of the caller, which may be of an older version and so shorter. Throws Error (argument) where its
// size is none. defaults: what is where the caller's ends, or where there is no struct.
template <typename Struct>
Struct read(const Struct* theirs, const Struct& defaults, const char* name) {
    Struct ours = defaults;
    if (!theirs) return ours;
    if (theirs->size < sizeof(std::size_t) || theirs->size > sizeof(Struct)) {
        throw Error(ErrorKind::argument,
                    std::string(name) + ".size is " + std::to_string(theirs->size) +
                        "; begin with the INIT macro of a w2vc.h that is not newer than this library");
    }
    std::copy_n(reinterpret_cast<const unsigned char*>(theirs), theirs->size,
                reinterpret_cast<unsigned char*>(&ours));
    return ours;
}

}  // namespace w2vc::api
