#define POCKETFFT_NO_MULTITHREADING
#define POCKETFFT_CACHE_SIZE 0
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wconversion"
#endif
#include <pocketfft/pocketfft_hdronly.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

#include <algorithm>
#include <cmath>

#include "features/features.hpp"
#include "features/sums.hpp"

namespace w2vc::features {
namespace {

constexpr double kPi = 3.14159265358979323846;
// Frames that are transformed together, one in each lane of a vector.
constexpr std::size_t kLanes = pocketfft::detail::VLEN<double>::val;

// A triangular filter: its weights from one frequency on.
struct Filter {
    std::size_t first = 0;
    std::vector<double> weights;
};

std::size_t unsigned_of(std::int64_t value) {
    return static_cast<std::size_t>(value);
}

// Python's `np.linspace(low, high, count)`.
std::vector<double> evenly(double low, double high, std::size_t count) {
    std::vector<double> values(count);
    const double step = (high - low) / static_cast<double>(count - 1);
    for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<double>(i) * step + low;
    values.back() = high;
    return values;
}

// Equally spaced on the mel scale, linear on it.
std::vector<Filter> make_filters(const LogMel& recipe) {
    const auto mel = [&](double hertz) {
        return recipe.mel_factor * std::log(1.0 + hertz / recipe.mel_break);
    };
    const std::size_t bins = unsigned_of(recipe.num_mel_bins);
    const std::vector<double> corners =
        evenly(mel(recipe.min_frequency), mel(recipe.max_frequency), bins + 2);
    const double width = static_cast<double>(recipe.sampling_rate) / static_cast<double>(recipe.fft_length);
    std::vector<Filter> filters(bins);
    for (std::size_t bin = 0; bin < bins; ++bin) {
        const double left = corners[bin], centre = corners[bin + 1], right = corners[bin + 2];
        for (std::size_t index = 0; index <= unsigned_of(recipe.fft_length / 2); ++index) {
            const double at = mel(static_cast<double>(index) * width);
            const double weight = std::min((at - left) / (centre - left), (right - at) / (right - centre));
            if (!(weight > 0)) continue;
            Filter& filter = filters[bin];
            if (filter.weights.empty()) filter.first = index;
            filter.weights.resize(index - filter.first + 1);
            filter.weights.back() = weight;
        }
    }
    return filters;
}

// The symmetric window hann ** power.
std::vector<double> make_window(const LogMel& recipe) {
    const auto length = recipe.frame_length;
    std::vector<double> window;
    for (std::int64_t n = 1 - length; n < length; n += 2) {  // as numpy computes it
        const double turn = kPi * static_cast<double>(n) / static_cast<double>(length - 1);
        window.push_back(std::pow(0.5 + 0.5 * std::cos(turn), recipe.window_power));
    }
    return window;
}

class LogMelExtractor final : public Extractor {
  public:
    explicit LogMelExtractor(const LogMel& recipe)
        : recipe_(recipe),
          window_(make_window(recipe)),
          filters_(make_filters(recipe)),
          transform_(unsigned_of(recipe.fft_length)) {}

    Inputs operator()(const std::vector<Clip>& clips, Padding padding) const override {
        const std::size_t bins = filters_.size(), stride = unsigned_of(recipe_.stride);
        std::vector<std::size_t> frames;
        std::size_t longest = 0;
        for (const Clip& clip : clips) {
            frames.push_back(count(clip.count));
            longest = std::max(longest, frames.back());
        }
        const std::size_t multiple = unsigned_of(recipe_.pad_to_multiple_of);
        longest = (longest + multiple - 1) / multiple * multiple;
        const std::size_t steps = longest / stride, row_size = steps * stride * bins;
        Inputs inputs;
        inputs.shape = {static_cast<std::int64_t>(clips.size()), static_cast<std::int64_t>(steps),
                        static_cast<std::int64_t>(bins * stride)};
        inputs.values.assign(clips.size() * row_size, static_cast<float>(recipe_.padding_value));
        inputs.mask.resize(clips.size() * steps);
        const bool whole = padding == Padding::hf_exact && !recipe_.return_attention_mask;
        for (std::size_t row = 0; row < clips.size(); ++row) {
            const std::vector<float> features = normalized(clips[row], frames[row]);
            std::copy_n(features.begin(), std::min(features.size(), row_size),
                        inputs.values.data() + row * row_size);
            for (std::size_t step = 0; step < steps; ++step) {
                inputs.mask[row * steps + step] = whole || step * stride + 1 < frames[row];
            }
        }
        return inputs;
    }

  private:
    using Lanes = pocketfft::detail::vtype_t<double>;

    std::size_t count(std::size_t samples) const {
        const std::size_t length = unsigned_of(recipe_.frame_length);
        return samples < length ? 0 : (samples - length) / unsigned_of(recipe_.hop_length) + 1;
    }

    // Features [frames, mel].
    std::vector<float> normalized(const Clip& clip, std::size_t frames) const {
        const std::size_t bins = filters_.size();
        std::vector<float> energies(bins *
                                    frames);  // [mel, frames], as each filter is summed over its frames
        log_energies(clip, frames, energies);
        std::vector<float> features(frames * bins);
        const std::size_t free = unsigned_of(recipe_.ddof);
        for (std::size_t bin = 0; bin < bins; ++bin) {
            const float* row = energies.data() + bin * frames;
            const float mean = divided(pairwise_sum(row, frames), frames);
            float deviation = 1;
            if (frames > free) {
                const auto square = [mean](float value) { return (value - mean) * (value - mean); };
                const float variance = divided(pairwise_sum(row, frames, square), frames - free);
                deviation = std::sqrt(variance + static_cast<float>(recipe_.eps));
            }
            for (std::size_t frame = 0; frame < frames; ++frame) {
                features[frame * bins + bin] = (row[frame] - mean) / deviation;
            }
        }
        return features;
    }

    // float64 inside: in float32 a loud tone drowns the quiet filters.
    void log_energies(const Clip& clip, std::size_t frames, std::vector<float>& energies) const {
        const std::size_t size = unsigned_of(recipe_.fft_length);
        std::vector<double> frame(size), power(size / 2 + 1);
        pocketfft::detail::arr<Lanes> lanes(size);
        for (std::size_t start = 0; start < frames; start += kLanes) {
            const std::size_t together = std::min(kLanes, frames - start);
            for (std::size_t lane = 0; lane < kLanes; ++lane) {
                window(clip.samples + std::min(start + lane, frames - 1) * unsigned_of(recipe_.hop_length),
                       frame);
                for (std::size_t i = 0; i < size; ++i) lanes[i][lane] = frame[i];
            }
            transform_.exec(lanes.data(), 1.0, true);
            for (std::size_t lane = 0; lane < together; ++lane) {
                powers(lanes, lane, power);
                for (std::size_t bin = 0; bin < filters_.size(); ++bin) {
                    energies[bin * frames + start + lane] = log_energy(filters_[bin], power);
                }
            }
        }
    }

    // The frame at some samples: centred, emphasised, times the window, zeros after it.
    void window(const float* samples, std::vector<double>& frame) const {
        const std::size_t length = window_.size();
        for (std::size_t i = 0; i < length; ++i) frame[i] = static_cast<double>(samples[i]) * recipe_.scale;
        const double mean = pairwise_sum(frame.data(), length) / static_cast<double>(length);
        for (std::size_t i = 0; i < length; ++i) frame[i] -= mean;
        for (std::size_t i = length - 1; i > 0; --i) {
            frame[i] = (frame[i - 1] * -recipe_.preemphasis + frame[i]) * window_[i];
        }
        frame[0] = frame[0] * (1 - recipe_.preemphasis) * window_[0];
    }

    // Squares of a spectrum, which the transform leaves as r0, r1, i1, r2, i2 ... Rounded to float32 first,
    // as Hugging Face's are: where nothing but rounding errors is left to normalise, as in a steady tone,
    // they are the same.
    static void powers(const pocketfft::detail::arr<Lanes>& lanes, std::size_t lane,
                       std::vector<double>& power) {
        const auto square = [&](std::size_t index) {
            const double rounded = static_cast<float>(lanes[index][lane]);
            return rounded * rounded;
        };
        const std::size_t size = lanes.size();
        power[0] = square(0);
        for (std::size_t k = 1; 2 * k < size; ++k) power[k] = square(2 * k - 1) + square(2 * k);
        if (size % 2 == 0) power[size / 2] = square(size - 1);
    }

    float log_energy(const Filter& filter, const std::vector<double>& power) const {
        double sum = 0;
        for (std::size_t i = 0; i < filter.weights.size(); ++i)
            sum += power[filter.first + i] * filter.weights[i];
        return static_cast<float>(std::log(std::max(sum, recipe_.mel_floor)));
    }

    LogMel recipe_;
    std::vector<double> window_;
    std::vector<Filter> filters_;
    pocketfft::detail::pocketfft_r<double> transform_;
};

}  // namespace

std::unique_ptr<Extractor> make_log_mel(const LogMel& recipe) {
    return std::make_unique<LogMelExtractor>(recipe);
}

}  // namespace w2vc::features
