// Sums in the order in which numpy adds, so that both round alike.
#pragma once

#include <cstddef>

namespace w2vc::features {

// Pairwise summation of contiguous values, each through `of`, in its type: blocks of 128 in eight sums,
// halves above. Source: numpy, `pairwise_sum` of loops_utils.h.
template <typename Value, typename Of>
auto pairwise_sum(const Value* values, std::size_t count, const Of& of) {
    using T = decltype(of(*values));
    constexpr std::size_t kBlock = 128;
    if (count < 8) {
        T sum = T(-0.0);
        for (std::size_t i = 0; i < count; ++i) sum += of(values[i]);
        return sum;
    }
    if (count <= kBlock) {
        T r[8];
        for (std::size_t j = 0; j < 8; ++j) r[j] = of(values[j]);
        std::size_t i = 8;
        for (; i < count - count % 8; i += 8) {
            for (std::size_t j = 0; j < 8; ++j) r[j] += of(values[i + j]);
        }
        T sum = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
        for (; i < count; ++i) sum += of(values[i]);
        return sum;
    }
    const std::size_t half = count / 2 - count / 2 % 8;
    return pairwise_sum(values, half, of) + pairwise_sum(values + half, count - half, of);
}

template <typename T>
T pairwise_sum(const T* values, std::size_t count) {
    return pairwise_sum(values, count, [](T value) { return value; });
}

// A sum divided by a count, in float64, as numpy's `mean` does.
inline float divided(float sum, std::size_t count) {
    return static_cast<float>(static_cast<double>(sum) / static_cast<double>(count));
}

}  // namespace w2vc::features
