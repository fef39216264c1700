#include "features/recipe.hpp"

namespace w2vc::features {

const char* input_name(const Recipe& recipe) {
    return std::holds_alternative<Waveform>(recipe) ? "input_values" : "input_features";
}

std::int64_t sampling_rate(const Recipe& recipe) {
    return std::visit([](const auto& each) { return each.sampling_rate; }, recipe);
}

}  // namespace w2vc::features
