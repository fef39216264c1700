// The errors of the library: each is one line that says what is wrong and what would be right.
#pragma once

#include <stdexcept>
#include <string>

namespace w2vc {

enum class ErrorKind {
    argument,   // an argument has no such value
    audio,      // a clip is empty, too short, too long or not finite
    bundle,     // a bundle is missing, damaged or not understood
    runtime,    // ONNX Runtime is missing, too old or foreign, or lacks a provider
    inference,  // a backend failed while it computed, or gave what is not finite
};

class Error : public std::runtime_error {
  public:
    Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
    ErrorKind kind() const { return kind_; }

  private:
    ErrorKind kind_;
};

}  // namespace w2vc
