#include "decoding/beam.hpp"

#include <cmath>
#include <mutex>
#include <utility>

#include "decoding/checks.hpp"
#include "decoding/search.hpp"

namespace w2vc::decoding {
namespace {

constexpr std::size_t kWidestBeam = 1'000'000;
constexpr std::size_t kMostIdle = 64;

void check_finite(double value, const char* name) {
    if (!std::isfinite(value)) {
        throw Error(std::string(name) + " is " + std::to_string(value) + "; expected a finite number");
    }
}

void check_not_positive(double value, const char* name) {
    if (!(value <= 0.0)) {
        throw Error(std::string(name) + " is " + std::to_string(value) + "; expected a logarithm, at most 0");
    }
}

void check(const BeamOptions& options) {
    if (options.beam_width < 1 || options.beam_width > kWidestBeam) {
        throw Error("beam_width is " + std::to_string(options.beam_width) + "; expected 1 to " +
                    std::to_string(kWidestBeam));
    }
    if (options.nbest < 1) {
        throw Error("nbest is 0; expected at least 1");
    }
    check_finite(options.alpha, "alpha");
    check_finite(options.beta, "beta");
    check_finite(options.unk_score_offset, "unk_score_offset");
    check_not_positive(options.beam_prune_logp, "beam_prune_logp");
    check_not_positive(options.token_min_logp, "token_min_logp");
    for (const auto& hotword : options.hotwords) {
        check_finite(hotword.weight, ("the weight of the hotword '" + hotword.text + "'").c_str());
    }
}

}  // namespace

class BeamDecoder::Idle {
  public:
    std::unique_ptr<BeamSearch> take(const Parts& parts) {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            if (!searches_.empty()) {
                auto search = std::move(searches_.back());
                searches_.pop_back();
                return search;
            }
        }
        return std::make_unique<BeamSearch>(parts);
    }

    void give_back(std::unique_ptr<BeamSearch> search) {
        search->renew();
        const std::lock_guard<std::mutex> lock(mutex_);
        if (searches_.size() < kMostIdle) {
            searches_.push_back(std::move(search));
        }
    }

  private:
    std::mutex mutex_;
    std::vector<std::unique_ptr<BeamSearch>> searches_;
};

namespace {

// A search that goes on.
class BeamStream final : public Stream {
  public:
    explicit BeamStream(const BeamDecoder::Parts& parts) : parts_(parts), search_(parts) {}

    void push(const Logits& logits) override {
        check_logits(logits, parts_.vocabulary.tokens.size());
        search_.advance(logits);
    }

    std::vector<Hypothesis> read() override { return search_.read(); }

  private:
    const BeamDecoder::Parts& parts_;
    BeamSearch search_;
};

}  // namespace

BeamDecoder::BeamDecoder(const Vocabulary& vocabulary, std::shared_ptr<const WordModel> language_model,
                         BeamOptions options)
    : idle_(std::make_unique<Idle>()) {
    check(options);
    if (options.unigrams && !language_model) {
        throw Error("there are unigrams and no language model; expected both, or no unigrams");
    }
    if (language_model && options.score_boundary && !language_model->has_bounds()) {
        throw Error("the language model has no <s> and </s>; expected both, or score_boundary off");
    }
    Lexicon lexicon(language_model, options.unigrams);
    Hotwords hotwords(options.hotwords);
    const bool prune = options.prune_history.value_or(options.nbest == 1);
    parts_ = std::make_unique<const Parts>(Parts{vocabulary, Alphabet(vocabulary), std::move(language_model),
                                                 std::move(options), std::move(lexicon), std::move(hotwords),
                                                 prune});
    for (const auto& hotword : parts_->hotwords.words()) {
        parts_->alphabet.check_hotword(hotword.text);
    }
}

BeamDecoder::~BeamDecoder() = default;

std::vector<Hypothesis> BeamDecoder::decode(const Logits& logits) const {
    check_logits(logits, parts_->vocabulary.tokens.size());
    auto search = idle_->take(*parts_);
    search->advance(logits);
    auto readings = search->read();
    idle_->give_back(std::move(search));
    return readings;
}

std::unique_ptr<Stream> BeamDecoder::stream() const {
    return std::make_unique<BeamStream>(*parts_);
}

}  // namespace w2vc::decoding
