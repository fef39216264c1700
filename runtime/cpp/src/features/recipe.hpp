// Samples to graph inputs: one recipe for each feature extractor of Hugging Face.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace w2vc::features {

// invariant: the mask of a clip is its own. hf_exact: all ones where the checkpoint's preprocessor returns no
// mask.
enum class Padding { invariant, hf_exact };

// Samples of a clip, -1 to 1, not owned.
struct Clip {
    const float* samples = nullptr;
    std::size_t count = 0;
};

// Leaves new values as they are in memory: all of them are written once.
template <typename T>
struct Unwritten : std::allocator<T> {
    template <typename U>
    struct rebind {
        using other = Unwritten<U>;
    };
    template <typename U>
    void construct(U* place) noexcept {
        ::new (static_cast<void*>(place)) U;
    }
    template <typename U, typename... Arguments>
    void construct(U* place, Arguments&&... arguments) {
        ::new (static_cast<void*>(place)) U(std::forward<Arguments>(arguments)...);
    }
};

// What a graph takes: values float32 [batch, time] or [batch, time, width], mask int64 [batch, time].
struct Inputs {
    std::vector<float, Unwritten<float>> values;
    std::vector<std::int64_t> shape;
    std::vector<std::int64_t> mask;
};

// HF Wav2Vec2FeatureExtractor: the samples, with zero mean and unit variance if do_normalize.
struct Waveform {
    std::int64_t sampling_rate = 16000;
    bool do_normalize = true;
    bool return_attention_mask = true;
    double padding_value = 0;
    double eps = 1e-7;
};

// HF SeamlessM4TFeatureExtractor: log energies of mel filters; docs/bundle.md says what each constant does.
struct LogMel {
    std::int64_t sampling_rate = 16000;
    std::int64_t num_mel_bins = 80;
    std::int64_t stride = 2;
    double padding_value = 0;
    bool return_attention_mask = true;
    double scale = 32768;
    std::int64_t frame_length = 400;
    std::int64_t hop_length = 160;
    std::int64_t fft_length = 512;
    double preemphasis = 0.97;
    double window_power = 0.85;
    double min_frequency = 20;
    double max_frequency = 8000;
    double mel_factor = 1127;
    double mel_break = 700;
    double mel_floor = 1.192092955078125e-07;
    double eps = 1e-7;
    std::int64_t ddof = 1;
    std::int64_t pad_to_multiple_of = 2;
};

using Recipe = std::variant<Waveform, LogMel>;

// The name of the input that features are for.
const char* input_name(const Recipe& recipe);

std::int64_t sampling_rate(const Recipe& recipe);

}  // namespace w2vc::features
