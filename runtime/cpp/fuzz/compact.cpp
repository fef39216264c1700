// Any bytes as a compiled model: an error, or a model that a search can use, however wrong its scores.
#include <cstdint>
#include <cstring>

#include "decoding/beam.hpp"
#include "decoding/language_model.hpp"

using namespace w2vc::decoding;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::vector<std::uint64_t> words((size + 7) / 8);
    if (size != 0) {
        std::memcpy(words.data(), data, size);
    }
    try {
        // Without the checksum, which no input would have.
        const auto model = LanguageModel::of(Mapping(std::move(words), size), "fuzz", false);
        LanguageState state = model->begin_state();
        for (std::uint32_t word = 0; word < 20; ++word) {
            model->score(state, word, state);
            model->find(model->word(word));
            model->score(0xFFFFFFFFU - word, word, state);
        }
        Vocabulary vocabulary;
        vocabulary.tokens = {"", " ", "o", "n", "e", "t", "w"};
        vocabulary.delimiter = " ";
        BeamOptions options;
        options.score_boundary = model->has_bounds();
        options.beam_width = 10;
        float values[12 * 7];
        for (int index = 0; index < 12 * 7; ++index) {
            values[index] = static_cast<float>((index * 37 + static_cast<int>(size)) % 11);
        }
        BeamDecoder(vocabulary, model, options).decode({values, 12, 7});
    } catch (const Error&) {
    }
    return 0;
}
