// Bundles of the golden vectors, loaded through the C interface.
#pragma once

#include <w2vc/w2vc.h>

#include <cmath>
#include <memory>

#include "goldens.hpp"

namespace w2vc::goldens {

struct Free {
    void operator()(w2vc_model* model) const { w2vc_model_free(model); }
    void operator()(w2vc_stream* stream) const { w2vc_stream_free(stream); }
    void operator()(w2vc_result* result) const { w2vc_result_free(result); }
    void operator()(w2vc_decoder* decoder) const { w2vc_decoder_free(decoder); }
};
using StreamHandle = std::unique_ptr<w2vc_stream, Free>;
using ModelHandle = std::unique_ptr<w2vc_model, Free>;
using ResultHandle = std::unique_ptr<w2vc_result, Free>;
using DecoderHandle = std::unique_ptr<w2vc_decoder, Free>;

inline ModelHandle load(const std::string& bundle) {
    const w2vc_options options = {sizeof(w2vc_options), "cpu", nullptr, nullptr, 0};  // threads as in Python
    w2vc_model* model = nullptr;
    w2vc_error error{};
    const w2vc_status status = w2vc_model_load(bundle.c_str(), &options, &model, &error);
    INFO(bundle);
    INFO(error.message);
    REQUIRE(status == W2VC_OK);
    return ModelHandle(model);
}

// A carried bundle by name; null without golden vectors.
inline ModelHandle load_golden(const std::string& name) {
    if (directory().empty()) {
        MESSAGE("no golden vectors: W2VC_GOLDENS names no directory");
        return nullptr;
    }
    return load(directory() + "/bundles/" + name);
}

// Half a second of a tone at 16 kHz.
inline std::vector<float> tone(std::size_t count = 8000) {
    std::vector<float> samples(count);
    for (std::size_t i = 0; i < count; ++i) samples[i] = 0.1f * std::sin(static_cast<float>(i) * 0.3f);
    return samples;
}

}  // namespace w2vc::goldens
