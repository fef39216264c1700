// Scores to log probabilities.
#pragma once

#include <cstddef>

namespace w2vc::decoding {

// Log probabilities of one frame, in floats; none is below log(1e-15). scores, target: [tokens]. Returns the
// best's index, the first of equals.
std::size_t log_softmax(const float* scores, std::size_t tokens, float* target);

// Logarithm of the sum of the exponentials of the scores of one frame, in doubles.
double log_sum(const float* scores, std::size_t tokens);

}  // namespace w2vc::decoding
