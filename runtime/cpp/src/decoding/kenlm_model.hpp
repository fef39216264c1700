// Binary language models of KenLM, in builds with the CMake switch W2VC_KENLM.
#pragma once

#include <memory>
#include <string>

#include "decoding/word_model.hpp"

namespace w2vc::decoding {

// Opens a binary file of KenLM, which is mapped. Throws Error on a damaged one, and in builds without KenLM.
std::shared_ptr<const WordModel> open_kenlm(const std::string& path);

// A language model of any kind: compiled, ARPA, or a binary file of KenLM. Throws Error.
std::shared_ptr<const WordModel> open_language_model(const std::string& path);

}  // namespace w2vc::decoding
