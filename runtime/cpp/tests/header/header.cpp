#include <w2vc/w2vc.hpp>

std::string text_of(const w2vc::Model& model, const std::vector<float>& samples);

std::string text_of(const w2vc::Model& model, const std::vector<float>& samples) {
    const w2vc_options options = W2VC_OPTIONS_INIT;
    return options.size ? model.run(samples).text() : "";
}
