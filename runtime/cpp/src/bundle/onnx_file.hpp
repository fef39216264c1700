// What files an ONNX file names: whatever runs it would open them.
#pragma once

#include <set>
#include <stdexcept>
#include <string>
#include <string_view>

namespace w2vc::bundle {

// A file is no ONNX file, or no plain one. The message leaves its name to the caller.
class OnnxFileError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// data: files with weights. plans: what nodes EPContext wrap; empty where one does not say.
struct References {
    std::set<std::string> data;
    std::set<std::string> plans;
};

// Throws OnnxFileError.
References references(const std::string& path);
References references_in(std::string_view content);

}  // namespace w2vc::bundle
