// Language models as users have them: a file, or the directory of Hugging Face's Wav2Vec2ProcessorWithLM.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "decoding/decoder.hpp"
#include "decoding/language_model.hpp"

namespace w2vc {

// Where a bundle has its language model, if it has one.
constexpr const char* kLanguageModel = "lm";

// An n-gram model and what was stored with it, where it was. unigrams: the words to expect. labels: what the
// tokens are called in its words. The others are pyctcdecode's.
struct StoredModel {
    std::string path;
    std::shared_ptr<const decoding::LanguageModel> model;
    std::optional<std::vector<std::string>> unigrams, labels;
    std::optional<double> alpha, beta, unk_score_offset;
    std::optional<bool> score_boundary;
};

// path: a file; a directory with alphabet.json and language_model/, as a processor of Hugging Face or a
// bundle has them; or such a language_model/ itself. Throws Error (bundle) on what is none of these.
StoredModel open_language_model(const std::string& path);

// A vocabulary whose tokens have the names that a model's words are spelled with. Throws Error (bundle) where
// its words cannot be spelled.
decoding::Vocabulary spelled_for(decoding::Vocabulary vocabulary, const StoredModel& stored);

}  // namespace w2vc
