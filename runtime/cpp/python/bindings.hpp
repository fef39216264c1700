// The parts of the extension: each adds its classes to the module.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "decoding/decoder.hpp"

namespace w2vc::decoding {

// float32 [frames, tokens]; what is not is converted.
using Array = nanobind::ndarray<const float, nanobind::ndim<2>, nanobind::c_contig, nanobind::device::cpu>;

inline Logits logits_of(const Array& array) {
    return {array.data(), array.shape(0), array.shape(1)};
}

Vocabulary vocabulary_of(std::vector<std::string> tokens, int blank, std::string delimiter,
                         std::string replace_delimiter, std::vector<std::string> special_tokens,
                         bool lower_case, bool clean_up, bool phonemes);

void bind_language_model(nanobind::module_& module);
void bind_decoders(nanobind::module_& module);
void bind_alignment(nanobind::module_& module);

}  // namespace w2vc::decoding
