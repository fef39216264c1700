// ONNX Runtime, loaded when it is wanted: that of a pip wheel, of Debian, or of a vendor.
#pragma once

#include <onnxruntime/onnxruntime_c_api.h>

#include <future>
#include <memory>
#include <string>
#include <vector>

namespace w2vc::sessions {

// Its functions and its environment. Thread-safe. The library stays loaded until the process ends: it has
// threads.
class Library {
  public:
    // path: of libonnxruntime.so; empty: what the environment variable W2VC_ONNXRUNTIME names, else
    // libonnxruntime.so.1 or libonnxruntime.so where the loader looks. Throws Error (runtime) where there is
    // none, or one that is too old, or another library.
    static std::shared_ptr<const Library> open(const std::string& path);
    // The same, beside what the caller goes on with; what is thrown comes out of the future.
    using Opening = std::future<std::shared_ptr<const Library>>;
    static Opening opening(const std::string& path);

    const OrtApi& api() const { return *api_; }
    const OrtEnv& environment() const { return *environment_; }
    const std::string& version() const { return version_; }  // such as 1.31.1
    std::string shown() const;                               // what it is, for people
    bool at_least(int major, int minor) const;
    std::vector<std::string> providers() const;  // execution providers that it was built with

    // The first line of a status's message; empty without one. Releases the status.
    std::string message_of(OrtStatus* status) const;

  protected:
    Library() = default;

  private:
    std::string path_, version_;
    const OrtApi* api_ = nullptr;
    std::shared_ptr<OrtEnv> environment_;
};

// Releases what ONNX Runtime made.
template <typename T>
class Released {
  public:
    using Release = void(ORT_API_CALL*)(T*);
    explicit Released(Release release) : release_(release) {}
    Released(Released&& other) noexcept : release_(other.release_), value_(other.value_) {
        other.value_ = nullptr;
    }
    Released(const Released&) = delete;
    Released& operator=(const Released&) = delete;
    ~Released() {
        if (value_) release_(value_);
    }
    T** out() { return &value_; }
    T* get() const { return value_; }

  private:
    Release release_;
    T* value_ = nullptr;
};

}  // namespace w2vc::sessions
