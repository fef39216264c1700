#include "decoding/kenlm_model.hpp"

#include "decoding/decoder.hpp"
#include "decoding/language_model.hpp"
#include "decoding/mapping.hpp"

#ifdef W2VC_KENLM
#include <cstring>
#include <deque>
#include <exception>
#include <lm/model.hh>
#include <lm/state.hh>
#include <mutex>
#include <unordered_map>
#endif

namespace w2vc::decoding {

#ifdef W2VC_KENLM

namespace {

// States are KenLM's, kept and numbered as they are met.
class KenlmModel final : public WordModel {
  public:
    explicit KenlmModel(const std::string& path) {
        lm::ngram::Config config;
        config.messages = nullptr;
        config.show_progress = false;
        model_.reset(lm::ngram::LoadVirtual(path.c_str(), config));
        lm::ngram::State state;
        model_->BeginSentenceWrite(&state);
        begin_ = keep(state);
        model_->NullContextWrite(&state);
        empty_ = keep(state);
    }

    std::size_t order() const override { return model_->Order(); }
    bool has_bounds() const override { return true; }
    std::uint32_t find(std::string_view word) const override {
        return model_->BaseVocabulary().Index(StringPiece(word.data(), word.size()));
    }
    std::uint32_t unknown() const override { return model_->BaseVocabulary().NotFound(); }
    std::uint32_t end() const override { return model_->BaseVocabulary().EndSentence(); }
    LanguageState begin_state() const override { return begin_; }
    LanguageState empty_state() const override { return empty_; }

    float score(LanguageState state, std::uint32_t word, LanguageState& next) const override {
        lm::ngram::State before;
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            before = states_[state];
        }
        lm::ngram::State after;
        const float score = model_->BaseScore(&before, word, &after);
        next = keep(after);
        return score;
    }

  private:
    LanguageState keep(lm::ngram::State& state) const {
        state.ZeroRemaining();
        std::string key(state.length * sizeof(state.words[0]), '\0');
        std::memcpy(key.data(), state.words, key.size());
        const std::lock_guard<std::mutex> lock(mutex_);
        const auto fresh = ids_.emplace(std::move(key), static_cast<LanguageState>(states_.size()));
        if (fresh.second) {
            states_.push_back(state);
        }
        return fresh.first->second;
    }

    std::unique_ptr<lm::base::Model> model_;
    mutable std::mutex mutex_;
    mutable std::deque<lm::ngram::State> states_;
    mutable std::unordered_map<std::string, LanguageState> ids_;
    LanguageState begin_ = 0;
    LanguageState empty_ = 0;
};

}  // namespace

std::shared_ptr<const WordModel> open_kenlm(const std::string& path) {
    try {
        return std::make_shared<const KenlmModel>(path);
    } catch (const std::exception& error) {
        const std::string reason = error.what();
        throw Error(path + " is no language model that KenLM reads: " + reason.substr(0, reason.find('\n')));
    }
}

#else

std::shared_ptr<const WordModel> open_kenlm(const std::string& path) {
    throw Error(
        path +
        " is a binary file of KenLM, which this build does not read; expected the ARPA file that it was "
        "built from");
}

#endif

std::shared_ptr<const WordModel> open_language_model(const std::string& path) {
    return is_kenlm(path) ? open_kenlm(path) : LanguageModel::open(path);
}

}  // namespace w2vc::decoding
