// Transcribes recordings: transcribe BUNDLE [--lm FILE] [--hotword WORD=WEIGHT]... RECORDING.wav...
//
// With --lm or --hotword by beam search, else greedily. All recordings are computed in batches.
#include <iostream>
#include <w2vc/w2vc.hpp>

#include "wav.hpp"

int main(int argc, char** argv) try {
    std::string bundle;
    std::vector<std::string> paths;
    w2vc::BeamOptions beam;
    for (int index = 1; index < argc; ++index) {
        const std::string argument = argv[index];
        if (argument == "--lm" && index + 1 < argc) {
            beam.language_model = argv[++index];
        } else if (argument == "--hotword" && index + 1 < argc) {
            const std::string word = argv[++index];
            const std::size_t mark = word.rfind('=');
            beam.hotwords.emplace_back(word.substr(0, mark),
                                       mark == word.npos ? 10 : std::stod(word.substr(mark + 1)));
        } else if (bundle.empty()) {
            bundle = argument;
        } else {
            paths.push_back(argument);
        }
    }
    if (paths.empty()) {
        std::cerr << "usage: transcribe BUNDLE [--lm FILE] [--hotword WORD=WEIGHT]... RECORDING.wav...\n";
        return 2;
    }
    const w2vc::Model model(bundle);
    std::vector<std::vector<float>> clips;
    for (const std::string& path : paths) clips.push_back(read_wav(path, model.sample_rate()));
    const bool searches = !beam.language_model.empty() || !beam.hotwords.empty();
    const std::unique_ptr<w2vc::Decoder> decoder(searches ? new w2vc::Decoder(model, beam) : nullptr);
    for (const w2vc::Result& result : model.run_batch(clips, 0, decoder.get()))
        std::cout << result.text() << "\n";
    return 0;
} catch (const std::exception& error) {
    std::cerr << "transcribe: " << error.what() << "\n";
    return 2;
}
