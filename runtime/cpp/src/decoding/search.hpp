// One beam search: its hypotheses after the frames so far.
#pragma once

#include "decoding/prefixes.hpp"

namespace w2vc::decoding {

class BeamSearch {
  public:
    explicit BeamSearch(const BeamDecoder::Parts& parts);

    // Makes it a new search, which keeps the memory of this one, and its spellings where they are not too
    // many.
    void renew();
    // Takes the frames of logits that were checked.
    void advance(const Logits& logits);
    std::vector<Hypothesis> read();

  private:
    // A hypothesis: whole words, the unfinished one, and the last token. Those that agree in all three are
    // one.
    struct Beam {
        std::uint32_t text = 0;
        std::uint32_t stem = 0;
        std::uint32_t last = kNoToken;
        std::uint32_t path = kNoPath;  // of the tokens
        std::uint32_t end = 0;         // frame after the last token
        float best = 0.0F;             // log probability of the last token where it is highest
        double acoustic = 0.0;
    };
    struct Candidate {
        std::uint32_t text;
        std::uint32_t stem;
        std::uint32_t token;   // as in the logits
        std::uint32_t source;  // the beam whose path it goes on
        double acoustic;
    };
    struct Ranked {
        double score;
        std::uint32_t index;
    };
    // A token of a path, and where the one before it ended.
    struct Step {
        std::uint32_t before;
        std::uint32_t token;
        std::uint32_t start;
        std::uint32_t end_before;
        float best_before;
    };
    static constexpr std::uint32_t kNoToken = 0xFFFFFFFFU;
    static constexpr std::uint32_t kNoPath = 0xFFFFFFFFU;

    std::size_t choose_tokens(const float* scores);
    void expand_all(std::size_t best);
    void expand(std::uint32_t token, std::size_t beams);
    void add(std::uint32_t text, std::uint32_t stem, std::uint32_t token, std::uint32_t source,
             double acoustic);
    void rank();
    void clear();
    void keep();
    Beam follow(const Candidate& candidate);
    void forget();
    Hypothesis hypothesis(const Candidate& candidate, double score);

    const BeamDecoder::Parts& parts_;
    Stems stems_;
    Texts texts_;
    std::uint32_t frame_ = 0;
    std::vector<Beam> beams_;
    std::vector<Step> steps_;
    std::size_t steps_limit_;

    // Of one frame, kept for their memory.
    std::vector<float> logp_;
    std::vector<std::uint32_t> chosen_;
    std::vector<Candidate> candidates_;
    std::vector<double> scores_;
    double least_ = 0.0;   // what a candidate must score to be kept
    double margin_ = 0.0;  // what it can gain from others that are the same
    std::vector<Ranked> ranked_;
    std::vector<Beam> next_;
    StampedMap merged_;
};

}  // namespace w2vc::decoding
