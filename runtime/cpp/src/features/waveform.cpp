#include <algorithm>
#include <cmath>

#include "features/features.hpp"
#include "features/sums.hpp"

namespace w2vc::features {
namespace {

class WaveformExtractor final : public Extractor {
  public:
    explicit WaveformExtractor(const Waveform& recipe) : recipe_(recipe) {}

    Inputs operator()(const std::vector<Clip>& clips, Padding padding) const override {
        std::size_t longest = 0;
        for (const Clip& clip : clips) longest = std::max(longest, clip.count);
        Inputs inputs;
        inputs.shape = {static_cast<std::int64_t>(clips.size()), static_cast<std::int64_t>(longest)};
        inputs.values.resize(clips.size() * longest);
        inputs.mask.reserve(clips.size() * longest);
        const bool whole = padding == Padding::hf_exact && !recipe_.return_attention_mask;
        for (std::size_t row = 0; row < clips.size(); ++row) {
            const Clip& clip = clips[row];
            float* values = inputs.values.data() + row * longest;
            if (recipe_.do_normalize)
                normalize(clip, values);
            else
                std::copy_n(clip.samples, clip.count, values);
            std::fill(values + clip.count, values + longest, static_cast<float>(recipe_.padding_value));
            const std::size_t valid = whole ? longest : clip.count;
            inputs.mask.insert(inputs.mask.end(), valid, 1);
            inputs.mask.insert(inputs.mask.end(), longest - valid, 0);
        }
        return inputs;
    }

  private:
    // Zero mean and unit variance.
    void normalize(const Clip& clip, float* values) const {
        const float mean = divided(pairwise_sum(clip.samples, clip.count), clip.count);
        const auto square = [mean](float sample) {
            const float centred = sample - mean;
            return centred * centred;
        };
        const float variance = divided(pairwise_sum(clip.samples, clip.count, square), clip.count);
        const float deviation = std::sqrt(variance + static_cast<float>(recipe_.eps));
        for (std::size_t i = 0; i < clip.count; ++i) values[i] = (clip.samples[i] - mean) / deviation;
    }

    Waveform recipe_;
};

}  // namespace

std::unique_ptr<Extractor> make_waveform(const Waveform& recipe) {
    return std::make_unique<WaveformExtractor>(recipe);
}

std::unique_ptr<Extractor> make_extractor(const Recipe& recipe) {
    if (const auto* mel = std::get_if<LogMel>(&recipe)) return make_log_mel(*mel);
    return make_waveform(std::get<Waveform>(recipe));
}

}  // namespace w2vc::features
