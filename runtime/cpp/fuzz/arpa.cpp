// Any bytes as an ARPA file: an error, or a model that scores.
#include "decoding/arpa.hpp"

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "decoding/decoder.hpp"
#include "decoding/language_model.hpp"

using namespace w2vc::decoding;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    try {
        const auto model = LanguageModel::of(
            compile(parse_arpa({reinterpret_cast<const char*>(data), size}, "fuzz")), "fuzz");
        LanguageState state = model->has_bounds() ? model->begin_state() : model->empty_state();
        for (std::uint32_t word = 0; word < 20; ++word) {
            if (std::isnan(
                    model->score(state, word % static_cast<std::uint32_t>(model->words() + 1), state))) {
                std::abort();
            }
            if (word < model->words() && model->find(model->word(word)) != word) {
                std::abort();
            }
        }
    } catch (const Error&) {
    }
    return 0;
}
