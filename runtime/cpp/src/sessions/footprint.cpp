#include "sessions/footprint.hpp"

#include <array>
#include <cmath>

#include "support/json.hpp"
#include "support/memory.hpp"

namespace w2vc::sessions {
namespace {

// Values of float32 held at once for each pair of encoder frames, by position kind: times the heads of
// attention, and beside them. Measured, see benchmarks/lengths.py.
struct Pairs {
    const char* position;
    double each, beside;
};
constexpr std::array<Pairs, 5> kPairs = {{{"convolutional", 2.2, 1},
                                          {"none", 2.2, 1},
                                          {"rotary", 2.2, 1},
                                          {"relative", 6.4, 1},
                                          {"relative_key", 3.2, 4}}};
// Tensors as large as the first convolution's output, and as a feed-forward's, that are held at once.
constexpr double kConvolved = 3.5, kWidened = 6;
constexpr double kFixedBytes = 32 << 20;
constexpr double kFloatBytes = 4;
// Of what is free, so that the clip that is said to fit still does when it is tried.
constexpr double kSure = 0.95;

std::optional<double> positive(const json::Value& config, const char* name) {
    const auto value = config.find(name);
    if (!value || !value->is(json::Type::integer) || value->integer() < 1) return std::nullopt;
    return static_cast<double>(value->integer());
}

// The product of a list of numbers, and its first; none where it is not one.
std::optional<std::array<double, 2>> product(const json::Value& config, const char* name) {
    const auto list = config.find(name);
    if (!list || !list->is(json::Type::list) || list->size() == 0) return std::nullopt;
    std::array<double, 2> found{1, 0};
    for (const json::Value& each : list->items()) {
        if (!each.is(json::Type::integer) || each.integer() < 1) return std::nullopt;
        if (found[1] == 0) found[1] = static_cast<double>(each.integer());
        found[0] *= static_cast<double>(each.integer());
    }
    return found;
}

std::optional<Footprint> estimate(const json::Value& config, const bundle::Manifest& manifest,
                                  const Pairs& pairs) {
    const auto heads = positive(config, "num_attention_heads"), wide = positive(config, "intermediate_size");
    if (!heads || !wide) return std::nullopt;
    Footprint made;
    double convolved = 0;
    if (const auto* mel = std::get_if<features::LogMel>(&manifest.features)) {
        made.frame = static_cast<double>(mel->hop_length * mel->stride);
    } else {
        const auto strides = product(config, "conv_stride"), widths = product(config, "conv_dim");
        if (!strides || !widths) return std::nullopt;
        made.frame = (*strides)[0];
        convolved = (*widths)[1] / (*strides)[1];
    }
    made.pair = kFloatBytes * (pairs.each * *heads + pairs.beside);
    made.sample = kFloatBytes * (kConvolved * convolved + kWidened * *wide / made.frame);
    return made;
}

}  // namespace

double Footprint::needed(std::size_t batch, std::size_t samples) const {
    const double count = static_cast<double>(samples), frames = count / frame;
    return kFixedBytes + static_cast<double>(batch) * (sample * count + pair * frames * frames);
}

double Footprint::longest(double available) const {
    const double room = std::fmax(0, available - kFixedBytes), square = pair / (frame * frame);
    // The positive root of square x² + sample x = room, in the form that does not cancel.
    return std::floor(2 * room / (sample + std::sqrt(sample * sample + 4 * square * room)));
}

std::optional<std::string> Footprint::shortage(std::size_t batch, std::size_t samples,
                                               std::int64_t sampling_rate) const {
    const double rate = static_cast<double>(sampling_rate);
    const std::string seconds = memory::duration_shown(static_cast<double>(samples) / rate);
    const std::string what = batch == 1 ? seconds : std::to_string(batch) + " clips of " + seconds;
    const auto problem = memory::shortage(what, needed(batch, samples));
    if (!problem) return std::nullopt;
    const double most = longest(static_cast<double>(memory::available_bytes().value_or(0)) * kSure);
    return *problem + ", enough for a clip of " + memory::duration_shown(most / rate);
}

std::optional<Footprint> Footprint::of(const std::string& bundle, const bundle::Manifest& manifest,
                                       const std::string& provider) {
    if (provider != "cpu" || !find(manifest.files, "config.json")) return std::nullopt;
    for (const Pairs& pairs : kPairs) {
        if (manifest.position != pairs.position) continue;
        try {
            const json::Document config = json::Document::read(bundle + "/config.json");
            if (!config.root().is(json::Type::object)) return std::nullopt;
            return estimate(config.root(), manifest, pairs);
        } catch (const json::DocumentError&) {
            return std::nullopt;
        }
    }
    return std::nullopt;
}

}  // namespace w2vc::sessions
