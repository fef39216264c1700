// What the handles of the C interface hold.
#pragma once

#include <w2vc/w2vc.h>

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "api/model.hpp"
#include "api/stream.hpp"

struct w2vc_model {
    w2vc::Model model;
};

struct w2vc_decoder {
    std::unique_ptr<w2vc::decoding::Decoder> decoder;
};

struct w2vc_stream {
    w2vc_stream(const w2vc::Model& model, const w2vc::decoding::Decoder* decoder,
                const w2vc::chunking::Options& options)
        : stream(model, decoder, options) {}

    w2vc::Stream stream;
};

// A result that it owns, or one of a window, which its whole owns.
struct w2vc_result {
    explicit w2vc_result(w2vc::results::Result value) : own(std::move(value)), result(own) {
        for (const auto& window : own.windows)
            windows.push_back(std::make_unique<w2vc_result>(&window.result));
    }
    explicit w2vc_result(const w2vc::results::Result* part) : result(*part) {}

    w2vc::results::Result own;
    const w2vc::results::Result& result;
    std::vector<std::unique_ptr<w2vc_result>> windows;
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
