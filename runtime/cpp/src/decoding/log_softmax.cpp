#include "decoding/log_softmax.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace w2vc::decoding {
namespace {

constexpr float kLeast = -34.538776F;  // log(1e-15), as pyctcdecode clips
constexpr float kNegligible = -80.0F;  // e to it is nothing beside the best's 1
constexpr float kLog2e = 1.44269504F;
constexpr float kLn2High = 0.693359375F;
constexpr float kLn2Low = -2.12194440e-4F;

// e^x for -80 <= x <= 0 to a unit in the last place or two, without branches, so that it is done by vectors
// (Cephes' polynomial).
inline float exponential(float x) {
    const float n = std::floor(x * kLog2e + 0.5F);
    const float r = (x - n * kLn2High) - n * kLn2Low;
    float p = 1.9875691500e-4F;
    p = p * r + 1.3981999507e-3F;
    p = p * r + 8.3334519073e-3F;
    p = p * r + 4.1665795894e-2F;
    p = p * r + 1.6666665459e-1F;
    p = p * r + 5.0000001201e-1F;
    p = p * r * r + r + 1.0F;
    const std::int32_t bits = (static_cast<std::int32_t>(n) + 127) << 23;
    float scale = 0.0F;
    std::memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

}  // namespace

std::size_t log_softmax(const float* scores, std::size_t tokens, float* target) {
    constexpr std::size_t kLanes = 8;
    const float* best = std::max_element(scores, scores + tokens);
    const float most = *best;
    float sums[kLanes] = {};
    std::size_t token = 0;
    for (; token + kLanes <= tokens; token += kLanes) {
        for (std::size_t lane = 0; lane < kLanes; ++lane) {
            const float shifted = scores[token + lane] - most;
            sums[lane] += exponential(std::max(shifted, kNegligible));
            target[token + lane] = shifted;
        }
    }
    float sum = 0.0F;
    for (; token < tokens; ++token) {
        target[token] = scores[token] - most;
        sum += exponential(std::max(target[token], kNegligible));
    }
    for (const float lane : sums) {
        sum += lane;
    }
    const float total = std::log(sum);
    for (std::size_t index = 0; index < tokens; ++index) {
        target[index] = std::min(0.0F, std::max(kLeast, target[index] - total));
    }
    return static_cast<std::size_t>(best - scores);
}

double log_sum(const float* scores, std::size_t tokens) {
    const auto most = static_cast<double>(*std::max_element(scores, scores + tokens));
    double sum = 0.0;
    for (std::size_t token = 0; token < tokens; ++token) {
        sum += std::exp(static_cast<double>(scores[token]) - most);
    }
    return most + std::log(sum);
}

}  // namespace w2vc::decoding
